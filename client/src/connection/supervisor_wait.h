/* For threads that cannot go on without a supervisor. */
#ifndef BERTH_SUPERVISOR_WAIT_H
#define BERTH_SUPERVISOR_WAIT_H

#include "connection/client.h"

/* Any thread: has the control thread try at once. */
void supervisor_want(struct client *client);
/* Any thread but the control thread: waits for a supervisor. 1: there is one. */
int supervisor_wait(struct client *client, uint32_t ms);

#endif
