#include "channel/baton.h"

int baton_take(struct channel *channel) {
    uint32_t free_baton = 0;
    if (!__atomic_compare_exchange_n(&channel->baton, &free_baton, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return 0;
    if (channel->poll_armed) {
        channel->poll_armed = 0;
        if (berth_ring_finish_wait(&channel->reply_ring) == BERTH_AWAKE)
            __atomic_store_n(&channel->poll_dirty, 1, __ATOMIC_RELAXED);
    }
    return 1;
}

/* berth_reap, which can take what others leave. */
static int polls(const struct channel *channel) {
    return (__atomic_load_n(&channel->poll_mode, __ATOMIC_SEQ_CST) &&
            !__atomic_load_n(&channel->poll_looks, __ATOMIC_SEQ_CST)) ||
           __atomic_load_n(&channel->reap_asleep, __ATOMIC_SEQ_CST);
}

int baton_wants_poll(const struct channel *channel) {
    return polls(channel) || __atomic_load_n(&channel->last_resort, __ATOMIC_SEQ_CST);
}

int baton_let_go(struct channel *channel) {
    int tell = 0;
    if (baton_wants_poll(channel)) {
        channel->poll_armed = (uint32_t)berth_ring_prepare_wait(&channel->reply_ring, BERTH_ASLEEP_FD);
        tell = !channel->poll_armed && (!channel->stuffed || polls(channel));
    }
    __atomic_store_n(&channel->baton, 0, __ATOMIC_SEQ_CST);
    return tell;
}

void channel_poke(struct channel *channel) {
    __atomic_fetch_add(&channel->poke, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&channel->ring_asleep, __ATOMIC_SEQ_CST) &&
        berth_ring_kick(&channel->segment.header->control[BERTH_RING_REPLY]) == BERTH_ASLEEP_FD)
        poll_signal(channel);
}

void baton_call_next(struct channel *channel) {
    pthread_mutex_lock(&channel->waiters_lock);
    if (channel->waiters_first)
        parker_unpark(channel->waiters_first->parker);
    pthread_mutex_unlock(&channel->waiters_lock);
}

void baton_call_all(struct channel *channel) {
    pthread_mutex_lock(&channel->waiters_lock);
    for (struct baton_waiter *waiter = channel->waiters_first; waiter; waiter = waiter->next)
        parker_unpark(waiter->parker);
    pthread_mutex_unlock(&channel->waiters_lock);
}

void baton_pass_on(struct channel *channel) {
    if (__atomic_load_n(&channel->baton_wanted, __ATOMIC_SEQ_CST) && baton_is_free(channel))
        baton_call_next(channel);
}

void baton_link(struct channel *channel, struct baton_waiter *waiter) {
    pthread_mutex_lock(&channel->waiters_lock);
    waiter->next = NULL;
    waiter->previous = channel->waiters_last;
    if (waiter->previous)
        waiter->previous->next = waiter;
    else
        channel->waiters_first = waiter;
    channel->waiters_last = waiter;
    __atomic_fetch_add(&channel->baton_wanted, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&channel->waiters_lock);
}

void baton_unlink(struct channel *channel, struct baton_waiter *waiter) {
    pthread_mutex_lock(&channel->waiters_lock);
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        channel->waiters_first = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    else
        channel->waiters_last = waiter->previous;
    __atomic_fetch_sub(&channel->baton_wanted, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&channel->waiters_lock);
}

void poll_signal(struct channel *channel) {
    if (!__atomic_load_n(&channel->poll_mode, __ATOMIC_SEQ_CST) &&
        !__atomic_load_n(&channel->reap_asleep, __ATOMIC_SEQ_CST) &&
        !__atomic_load_n(&channel->last_resort, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(&channel->poll_dirty, 1, __ATOMIC_SEQ_CST);
    wake_host(&channel->wake);
}

int poll_clear(struct channel *channel) {
    if (!__atomic_exchange_n(&channel->poll_dirty, 0, __ATOMIC_SEQ_CST))
        return 0;
    int taken = wake_take(&channel->wake);
    if (!taken)
        __atomic_store_n(&channel->poll_dirty, 1, __ATOMIC_SEQ_CST); /* the write is still on its way */
    return taken < 0 ? -1 : 0;
}

void outbox_told(struct channel *channel, berth_callback callback) {
    if (callback) {
        parker_unpark(&channel->outbox.reader);
        channel_poke(channel);
    } else {
        poll_signal(channel);
    }
}

static int is_pollers(const struct channel *channel) {
    return __atomic_load_n(&channel->poll_mode, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&channel->reap_asleep, __ATOMIC_SEQ_CST);
}

void channel_take_wakeups(struct channel *channel) {
    if (is_pollers(channel))
        return;
    wake_drain(&channel->wake);
    if (is_pollers(channel))
        poll_signal(channel); /* it came meanwhile, and what it was told may be gone */
}
