#include "delivery/event_thread.h"

#include "delivery/callback_threads.h"
#include "delivery/events.h"
#include "delivery/notices.h"

#define EVENTS_IN_A_ROW 64 /* before notices have their turn */

/* Events of a context that is over have no listener to go to. */
static int is_over(const struct delivery *delivery) {
    return callback_threads_are_stopped(delivery) || verdict_is_given(&delivery->channel->verdict);
}

static void wait_for_event(struct event_reader *events, struct berth_spin *spin, uint32_t poke) {
    struct berth_ring_consumer *ring = &events->ring;
    uint64_t started;
    if (berth_ring_spin(ring, spin, &events->poke, poke, 0, &started))
        return;
    if (berth_ring_prepare_wait(ring, BERTH_ASLEEP_FUTEX)) {
        if (__atomic_load_n(&events->poke, __ATOMIC_SEQ_CST) == poke)
            berth_ring_sleep(ring, 0);
        berth_ring_finish_wait(ring);
    }
    if (started)
        berth_spin_learn(spin, berth_now_ns() - started);
}

static void run(void *argument) {
    struct delivery *delivery = argument;
    struct event_reader *events = &delivery->events;
    struct berth_spin spin;
    event_thread_mark(delivery);
    berth_spin_init(&spin);
    /* berth_reap may have been the consumer until now; once it sees the flag it no longer is. */
    while (!__atomic_load_n(&delivery->threads.event_started, __ATOMIC_ACQUIRE))
        sched_yield();
    while (!callback_threads_are_stopped(delivery)) {
        uint32_t poke = __atomic_load_n(&events->poke, __ATOMIC_SEQ_CST);
        int took = 0;
        while (took < EVENTS_IN_A_ROW && !callback_threads_are_stopped(delivery) && events_take(delivery))
            took++;
        if (notices_run(delivery) || took)
            continue;
        if (is_over(delivery)) {
            berth_futex_wait(&events->poke, poke, 0);
            continue;
        }
        pthread_mutex_lock(&events->lock);
        wait_for_event(events, &spin, poke);
        pthread_mutex_unlock(&events->lock);
    }
    event_thread_mark(NULL);
    callback_threads_gone(delivery);
}

int event_thread_need(struct delivery *delivery) {
    return callback_threads_need(delivery, &delivery->threads.event_started, run);
}
