/* Tells the supervisor that leases end. Nobody waits for a supervisor that stands still, and it hears of each: what finds
 * no room in its socket is kept, and said by the control thread when there is. */
#ifndef BERTH_CLOSINGS_H
#define BERTH_CLOSINGS_H

#include <stdint.h>

struct client;

/* Of the lease that the supervisor of that connection knows by `context`; it has as long to end. Any thread. */
void closings_say(struct client *client, uint64_t connection, uint64_t context, uint32_t timeout_ms);
/* Control thread. Returns when to be called again, 0: there is nothing to be said. */
uint64_t closings_say_again(struct client *client, uint64_t now);

#endif
