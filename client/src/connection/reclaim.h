/* The contexts' half of the way back to a service (reattach.h). Control thread. */
#ifndef BERTH_RECLAIM_H
#define BERTH_RECLAIM_H

#include "connection/client.h"

/* The supervisor is gone, and did not say whether this context has a worker. 1: it has none, the old supervisor can
 * give it none any more, and the next one will be asked. 0: there is no hope for it; a worker that took it is told to
 * end. */
int reclaim_withdraw(struct context *context, uint64_t now);
/* Asks for a worker for each that has asked nobody on this connection, as far as there is room for the questions. */
void reclaim_asks(struct client *client);
/* Makes claims for open contexts, some at a time; returns when to be called again, 0: when an answer comes. */
uint64_t reclaim_contexts(struct client *client, uint64_t now);
/* The supervisor's answers to claims. */
void reclaim_granted(struct client *client, struct context *context, const struct berth_control_message *message);
void reclaim_refused(struct client *client, struct context *context, const struct berth_control_message *message);

#endif
