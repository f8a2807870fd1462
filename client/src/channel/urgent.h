/* What must not queue behind a busy library: to the worker's control thread by the urgent ring, or through words of the
 * segment. */
#ifndef BERTH_URGENT_H
#define BERTH_URGENT_H

#include "channel/channel.h"

/* The wakeup that a commit to one of the worker's rings has called for. */
static inline void urgent_wake_reader(struct channel *channel, struct berth_ring_producer *ring, uint32_t due) {
    if (due == BERTH_ASLEEP_FUTEX)
        berth_ring_wake_futex(ring->control);
    else if (due == BERTH_ASLEEP_FD)
        wake_worker(&channel->wake);
}

#define URGENT_AGAIN_NS 10000000u /* when what the ring had no room for is tried again */

/* 0 or -ENOSPC. Takes the submit lock. */
int channel_send_urgent(struct channel *channel, uint16_t frame_kind, uint64_t id, uint32_t code);
/* That a request was given up. Where the ring has no room the tick says it, by channel_send_cancels, which returns when
 * it is to come again (0: nothing is left). */
void channel_send_cancel(struct channel *channel, struct request *request, uint64_t id);
uint64_t channel_send_cancels(struct channel *channel, uint64_t now);
/* Through the segment, where a library thread that has nothing to do sees it. */
void channel_ask_to_close(struct channel *channel);
/* Takes the lease back before a worker has it: 1; 0: a worker has. `attempt` counts how often that was done. */
int channel_withdraw(struct channel *channel, uint32_t attempt);

#endif
