/* What the supervisor says of a context: opened, refused, or that its worker died. On the control thread. */
#ifndef BERTH_SUPERVISOR_SAYS_H
#define BERTH_SUPERVISOR_SAYS_H

#include "connection/client.h"

void supervisor_says_opened(struct context *context, struct control_packet *packet);
void supervisor_says_refused(struct context *context, const struct berth_control_message *message);
/* message NULL: the worker's pidfd says it, and nobody more. */
void supervisor_says_died(struct context *context, const struct berth_control_message *message);

#endif
