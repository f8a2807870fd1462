/* Questions to the supervisor that are about no context: status, crashes, reset. */
#ifndef BERTH_QUESTIONS_H
#define BERTH_QUESTIONS_H

#include "connection/client.h"

/* Asks, and waits for the answer: the body that comes with it, CBOR null when none does, or why not. The message lacks
 * nothing but its seq. Any thread but the control thread. */
int question_ask(struct client *client, struct berth_control_message *message, struct berth_reply *reply);
/* The same for a handle. */
int question_ask_by(berth_client handle, struct berth_control_message *message, struct berth_reply *reply);

/* Control thread: the answer to one, or to none. */
void question_answered(struct client *client, struct control_packet *packet, int32_t ret);
/* The supervisor is gone. */
void questions_fail(struct client *client);

#endif
