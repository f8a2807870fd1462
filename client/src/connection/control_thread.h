/* The one thread per connection that listens to the supervisor and to the workers' pidfds, reads as a last resort what
 * is owed to nobody in particular, and does what is due for contexts. It never runs host code. Asleep in epoll_wait
 * while nothing happens. */
#ifndef BERTH_CONTROL_THREAD_H
#define BERTH_CONTROL_THREAD_H

#include "connection/client.h"

/* 0 or an errno. */
int control_thread_start(struct client *client);
/* Of a client without contexts: ends it, and waits for that. */
void control_thread_stop(struct client *client);

#endif
