/* Whose turn it is to read the reply ring.
 *
 * One thread at a time holds the baton. A blocked caller that gets it drains the ring itself (no thread hop); one that
 * does not sleeps on its request's parker, linked here so that whoever lets the baton go can call the next. The holder
 * clears the baton and then looks for waiters, a waiter links itself and then looks at the baton; both sequentially
 * consistent, so one sees the other. The baton is never held while host code runs.
 *
 * channel_leave (settle.h) is how a holder lets it go. */
#ifndef BERTH_BATON_H
#define BERTH_BATON_H

#include "channel/channel.h"

/* 1: it is the caller's. */
int baton_take(struct channel *channel);
/* Without a look at the verdict, or for waiters. 1: somebody who polls is to be told of frames that are there. */
int baton_let_go(struct channel *channel);
/* Whether the ring should be armed for who polls, and is not. */
int baton_wants_poll(const struct channel *channel);
static inline int baton_is_free(const struct channel *channel) {
    return !__atomic_load_n(&channel->baton, __ATOMIC_SEQ_CST);
}

/* Has whoever holds it, if he is asleep on the ring, come and see. */
void channel_poke(struct channel *channel);
static inline uint32_t channel_poke_seen(const struct channel *channel) {
    return __atomic_load_n(&channel->poke, __ATOMIC_SEQ_CST);
}

void baton_link(struct channel *channel, struct baton_waiter *waiter);
void baton_unlink(struct channel *channel, struct baton_waiter *waiter);
void baton_call_next(struct channel *channel);
void baton_call_all(struct channel *channel);
/* For a waiter that was called and no longer needs the baton: calls the next one. */
void baton_pass_on(struct channel *channel);

/* Wakes whoever waits for berth_reap to have something. */
void poll_signal(struct channel *channel);
/* For a reader who is told by edges: the socket is emptied, so that there is room for more, unless that is a poller's
 * to do. */
void channel_take_wakeups(struct channel *channel);
/* Wakes whoever fetches what was put into the outbox: the thread that runs callbacks, or berth_reap. */
void outbox_told(struct channel *channel, berth_callback callback);
/* Before a look at rings and queues. 0; -1: the worker has made it useless. */
int poll_clear(struct channel *channel);

#endif
