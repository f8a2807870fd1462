/* How a thread waits for its answer, or for a context's end. */
#ifndef BERTH_WAIT_H
#define BERTH_WAIT_H

#include "channel/channel.h"

/* Blocks until the request is answered (NULL: until the verdict is settled) or the deadline has passed. 1 it is. */
int channel_wait(struct channel *channel, struct request *request, uint64_t deadline_ns);
/* The same for one that has the baton, which it gives: until then, or until there is a verdict. */
void channel_lead(struct channel *channel, struct request *request, uint64_t deadline_ns);
/* With the baton: sleeps, after it has spun, until the reply ring has something, somebody pokes, or the deadline.
 * `poke` is channel_poke_seen as it was before the caller last looked at what it waits for. 1: a frame came while it
 * spun. */
int channel_await_frame(struct channel *channel, uint32_t poke, uint64_t deadline_ns);

#endif
