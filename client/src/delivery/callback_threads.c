#include "delivery/callback_threads.h"

#include "channel/baton.h"

static __thread const struct delivery *events_of; /* the context whose event thread this is */

int callback_threads_need(struct delivery *delivery, uint32_t *started, void (*body)(void *delivery)) {
    struct callback_threads *threads = &delivery->threads;
    int rc = 0;
    if (__atomic_load_n(started, __ATOMIC_ACQUIRE))
        return 0;
    pthread_mutex_lock(&threads->lock);
    if (callback_threads_are_stopped(delivery))
        rc = -ESRCH;
    else if (!*started) {
        rc = callback_pool_run(delivery->pool, body, delivery);
        if (rc == 0)
            __atomic_store_n(started, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&threads->lock);
    return rc;
}

void callback_threads_gone(struct delivery *delivery) {
    struct alarm *alarm = delivery->due->alarm; /* the client's, which outlives the pool's threads */
    __atomic_fetch_add(&delivery->threads.gone, 1, __ATOMIC_SEQ_CST);
    alarm_ring(alarm);
}

static uint32_t started(const struct callback_threads *threads) {
    return __atomic_load_n(&threads->reply_started, __ATOMIC_SEQ_CST) +
           __atomic_load_n(&threads->event_started, __ATOMIC_SEQ_CST);
}

void callback_threads_stop(struct delivery *delivery) {
    __atomic_store_n(&delivery->threads.stop, 1, __ATOMIC_SEQ_CST);
    parker_unpark(&delivery->channel->outbox.reader);
    channel_poke(delivery->channel);
    event_thread_wake(delivery);
    if (!started(&delivery->threads)) /* else they do, when they are gone */
        alarm_ring(delivery->due->alarm);
}

int callback_threads_are_gone(struct delivery *delivery) {
    struct callback_threads *threads = &delivery->threads;
    pthread_mutex_lock(&threads->lock);
    int all = __atomic_load_n(&threads->gone, __ATOMIC_SEQ_CST) == started(threads);
    pthread_mutex_unlock(&threads->lock);
    return all;
}

void event_thread_wake(struct delivery *delivery) {
    struct event_reader *events = &delivery->events;
    __atomic_fetch_add(&events->poke, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&delivery->threads.event_started, __ATOMIC_ACQUIRE))
        return;
    berth_futex_wake(&events->poke, 1);
    berth_ring_kick(&delivery->channel->segment.header->control[BERTH_RING_EVENT]);
}

int event_thread_is_current(const struct delivery *delivery) { return events_of == delivery; }
void event_thread_mark(const struct delivery *delivery) { events_of = delivery; }
