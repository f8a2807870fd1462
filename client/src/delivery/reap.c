#include "delivery/reap.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/raw_io.h"
#include "channel/baton.h"
#include "channel/data.h"
#include "channel/drain.h"
#include "channel/settle.h"
#include "delivery/events.h"

#define GATHER_MOST 1024 /* frames, of any kind, in one look */

static void take_queued(struct delivery *delivery, struct reap_sink *sink) {
    struct channel *channel = delivery->channel;
    while (sink->count < sink->capacity) {
        struct completion *next = outbox_take(&channel->outbox, &channel->slots, &channel->outbox.for_reap);
        if (!next)
            break;
        next->next = delivery->reaper.handed_out;
        delivery->reaper.handed_out = next;
        sink->out[sink->count++] =
            (struct berth_completion){next->id, next->kind, next->ret, next->data, next->len, next->user_data};
        sink->data_count += next->kind == BERTH_DATA;
    }
    sink->direct_from = sink->count;
}

/* Else the event ring, and its lock, are the event thread's. */
static int reaps_events(const struct delivery *delivery) {
    return !__atomic_load_n(&delivery->threads.event_started, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&delivery->channel->segment.header->events_wanted, __ATOMIC_RELAXED);
}

/* Only tried: the event thread sleeps with the lock, and may have been started just now. */
static int lock_events(struct delivery *delivery) {
    if (!reaps_events(delivery) || pthread_mutex_trylock(&delivery->events.lock) != 0)
        return 0;
    if (reaps_events(delivery))
        return 1;
    pthread_mutex_unlock(&delivery->events.lock);
    return 0;
}

static void take_events(struct delivery *delivery, struct reap_sink *sink, int arm) {
    struct event_reader *events = &delivery->events;
    if (!lock_events(delivery))
        return;
    if (events->armed) {
        events->armed = 0;
        if (berth_ring_finish_wait(&events->ring) == BERTH_AWAKE)
            __atomic_store_n(&delivery->channel->poll_dirty, 1, __ATOMIC_RELAXED);
    }
    for (int left = GATHER_MOST; left && events_gather(delivery, sink); left--) {
    }
    if (arm) {
        events->armed = (uint32_t)berth_ring_prepare_wait(&events->ring, BERTH_ASLEEP_FD);
        if (!events->armed)
            poll_signal(delivery->channel);
    }
    pthread_mutex_unlock(&events->lock);
    if (verdict_is_open(&delivery->channel->verdict))
        channel_settle_now(delivery->channel);
}

static void take_answers(struct delivery *delivery, struct reap_sink *sink) {
    take_queued(delivery, sink);
    if (sink->count < sink->capacity && baton_take(delivery->channel)) {
        channel_drain(delivery->channel, NULL, sink, GATHER_MOST);
        channel_leave(delivery->channel);
    }
}

static void gather(struct delivery *delivery, struct reap_sink *sink, int arm) {
    take_answers(delivery, sink);
    if (!events_tell_the_others(delivery, sink))
        return; /* the next batch has them, before what comes after */
    if (sink->count < sink->capacity || arm)
        take_events(delivery, sink, arm);
}

/* Spins where it pays; 1 when there may be something now. */
static int spin_for_any(struct delivery *delivery) {
    struct channel *channel = delivery->channel;
    if (!channel->spin.allowed || !baton_take(channel))
        return 0;
    struct berth_spin_turn turn;
    int found = 0;
    uint64_t *event_tail = &channel->segment.header->control[BERTH_RING_EVENT].tail;
    uint64_t event_head = 0;
    int events = lock_events(delivery);
    if (events) {
        event_head = delivery->events.ring.head;
        pthread_mutex_unlock(&delivery->events.lock);
    }
    berth_spin_begin(&channel->spin, &turn);
    do {
        for (int i = 0; i < 64 && !found; i++)
            found = berth_ring_ready(&channel->reply_ring) ||
                    (events && __atomic_load_n(event_tail, __ATOMIC_ACQUIRE) != event_head);
    } while (!found && !completion_count(&channel->outbox.for_reap) && !verdict_is_given(&channel->verdict) &&
             berth_spin_again(&channel->spin, &turn));
    if (found)
        berth_spin_learn(&channel->spin, berth_now_ns() - turn.started);
    channel_leave(channel);
    return found;
}

int reap_is_over(const struct delivery *delivery) {
    return verdict_is_final(&delivery->channel->verdict) && !completion_count(&delivery->channel->outbox.for_reap);
}

static void sleep_for_any(struct delivery *delivery, struct reap_sink *sink, uint64_t deadline_ns) {
    struct channel *channel = delivery->channel;
    uint64_t began = berth_now_ns();
    __atomic_store_n(&channel->reap_asleep, 1, __ATOMIC_SEQ_CST);
    gather(delivery, sink, 1);
    if (!sink->count && !reap_is_over(delivery)) {
        struct pollfd poll = {channel->wake.poll_fd, POLLIN, 0};
        raw_poll(&poll, 1, deadline_ns);
    }
    __atomic_store_n(&channel->reap_asleep, 0, __ATOMIC_SEQ_CST);
    /* Whoever saw us asleep may have written. */
    __atomic_store_n(&channel->poll_dirty, 1, __ATOMIC_SEQ_CST);
    if (channel->spin.allowed && baton_take(channel)) {
        berth_spin_learn(&channel->spin, berth_now_ns() - began);
        channel_leave(channel);
    }
}

static struct reap_sink begin(struct delivery *delivery, struct berth_completion *out, size_t capacity) {
    struct reaper *reaper = &delivery->reaper;
    for (struct completion *next; reaper->handed_out; reaper->handed_out = next) {
        next = reaper->handed_out->next;
        free(reaper->handed_out);
    }
    return (struct reap_sink){.out = out, .capacity = capacity, .arena = &reaper->arena};
}

/* Else whoever polls would find it readable for ever. */
static void cannot_be_woken(struct channel *channel) {
    channel->owner_calls->broken(channel->owner, "the worker has shut down the socket by which it wakes its host");
    channel_settle_now(channel);
}

/* The batch is the caller's. */
static int hand_out(struct delivery *delivery, struct reap_sink *sink) {
    reap_sink_seal(sink);
    for (size_t i = 0; sink->data_count && i < sink->count; i++)
        if (sink->out[i].kind == BERTH_DATA)
            channel_credit(delivery->channel, sink->out[i].id, sink->out[i].len);
    return (int)sink->count;
}

/* Events keep their ring armed, and a context's end is told by a berth_reap that is none of these. */
int reap_look(struct delivery *delivery, struct berth_completion *out, size_t capacity) {
    struct reap_sink sink = begin(delivery, out, capacity);
    __atomic_store_n(&delivery->channel->poll_looks, 1, __ATOMIC_SEQ_CST);
    take_answers(delivery, &sink);
    return hand_out(delivery, &sink);
}

int reap_batch(struct delivery *delivery, struct berth_completion *out, size_t capacity, int timeout_ms) {
    struct channel *channel = delivery->channel;
    struct reap_sink sink = begin(delivery, out, capacity);
    uint64_t deadline_ns = timeout_ms > 0 ? clock_deadline(timeout_ms) : 0;
    int poll_mode = __atomic_load_n(&channel->poll_mode, __ATOMIC_RELAXED) != 0;
    __atomic_store_n(&channel->poll_looks, 0, __ATOMIC_SEQ_CST);
    for (;;) {
        if (__atomic_load_n(&channel->poll_dirty, __ATOMIC_RELAXED) && poll_clear(channel) != 0)
            cannot_be_woken(channel);
        gather(delivery, &sink, poll_mode);
        /* A wakeup whose frame was read long ago can be late: with nothing found, the descriptor may not stay readable.
         * What came between the look and the clearing is found by looking again. */
        int taken = !sink.count && poll_mode ? wake_take(&channel->wake) : 0;
        if (taken < 0)
            cannot_be_woken(channel);
        if (taken)
            gather(delivery, &sink, poll_mode);
        if (sink.count || timeout_ms == 0 || reap_is_over(delivery) || clock_passed(deadline_ns))
            break;
        if (spin_for_any(delivery))
            continue;
        sleep_for_any(delivery, &sink, deadline_ns);
        if (sink.count)
            break;
    }
    if (poll_mode && (sink.count == capacity || delivery->half_told.bytes))
        poll_signal(channel); /* there may be more */
    return hand_out(delivery, &sink);
}
