/* The end of a connection. */
#ifndef BERTH_DISCONNECT_H
#define BERTH_DISCONNECT_H

#include "connection/client.h"

/* Of a client whose handle is over: closes its contexts, all at once, waits until they are quiet (30 s at most), and
 * ends its threads and its private supervisor. The owner's reference is then the caller's to give back. 1; 0: a
 * callback did not end in time, and all of it stays. */
int connection_close(struct client *client);

#endif
