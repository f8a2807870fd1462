/* Asking the supervisor for a context's worker. */
#ifndef BERTH_ASKS_H
#define BERTH_ASKS_H

#include "connection/client.h"

#define SUPERVISOR_WAIT_NS 10000000000u /* how long an open waits for a supervisor to be there */

/* Adds a new context to its client's, and asks for its worker now, or has the control thread ask as soon as there is a
 * supervisor. Any thread. */
void asks_first(struct context *context);
/* The same for one that is there already, and has lost its worker. */
void asks_again(struct context *context);
/* Adds one for which nobody is to be asked any more: the control thread sees to its end. */
void asks_list(struct context *context);
/* Asks on that connection, as far as it still is the present one. 0, or -errno: -EAGAIN, the control thread comes again
 * as soon as there is room for the question; the connection is gone; or the context has been ended. */
int asks_now(struct context *context, uint64_t connection, uint64_t closed_before, int segment_fd);

#endif
