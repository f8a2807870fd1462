#include "delivery/events.h"

#include <stdlib.h>
#include <string.h>

#include "channel/baton.h"
#include "channel/settle.h"
#include "delivery/listeners.h"
#include "delivery/notices.h"
#include "kill_point.h"

#define REAP_EVENTS_MOST 1024u

/* 1 a frame; 0 none, or one that no worker sends. With the event lock. */
static int peek(struct delivery *delivery, struct berth_frame_header *header, const uint8_t **payload) {
    int rc = berth_ring_peek(&delivery->events.ring, header, payload);
    if (rc == 0)
        return 0;
    if (rc > 0 && header->kind == BERTH_FRAME_EVENT && header->code <= header->size && header->code <= 255)
        return 1;
    delivery->channel->owner_calls->broken(delivery->channel->owner, "the worker sent an event that cannot be");
    return 0;
}

/* What the worker dropped since it was last told of, now that there is room again. */
static void tell_losses(struct delivery *delivery) {
    struct event_reader *events = &delivery->events;
    const struct berth_segment_header *header = delivery->channel->segment.header;
    uint64_t dropped = __atomic_load_n(&header->events_dropped, __ATOMIC_RELAXED);
    if (dropped > events->dropped_told)
        notice_count(delivery, "event_overflow", "count", dropped - events->dropped_told);
    events->dropped_told = dropped;
    if (__atomic_load_n(&header->events_stuck, __ATOMIC_RELAXED) && !events->stuck_told) {
        events->stuck_told = 1;
        notice_cause(delivery, "events", 0);
    }
}

static void took_event(struct delivery *delivery) {
    BERTH_KILL_POINT("host.event_copied");
    berth_ring_advance(&delivery->events.ring);
    __atomic_store_n(&delivery->channel->segment.header->events_taken, ++delivery->events.taken, __ATOMIC_RELAXED);
    tell_losses(delivery);
    BERTH_KILL_POINT("host.event_released");
}

/* --- to callbacks ------------------------------------------------------------------------------------------------- */

/* The payload is private by now and no lock is held. */
static void dispatch(struct delivery *delivery, const uint8_t *name, size_t name_len, const uint8_t *data, size_t len) {
    struct outbox *outbox = &delivery->channel->outbox;
    struct listener listener = {0};
    uint64_t last = 0;
    while (listeners_next(delivery, name, name_len, &last, &listener)) {
        if (listener.callback) {
            BERTH_KILL_POINT("host.before_listener");
            listener.callback(BERTH_RET_OK, data, len, listener.user_data);
            BERTH_KILL_POINT("host.after_listener");
            listener_ran(delivery);
        } else if (completion_count(&outbox->for_reap) < REAP_EVENTS_MOST && !outbox_is_full(outbox, len)) {
            outbox_put(outbox, BERTH_EVENT, listener.id, BERTH_RET_OK, NULL, listener.user_data, data, len);
            poll_signal(delivery->channel);
        }
    }
}

static uint8_t *copy_of(const uint8_t *payload, size_t len) {
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, payload, len);
    copy[len] = 0;
    return copy;
}

int events_take(struct delivery *delivery) {
    struct berth_frame_header header;
    const uint8_t *payload;
    uint8_t *copy = NULL;
    pthread_mutex_lock(&delivery->events.lock);
    if (peek(delivery, &header, &payload))
        copy = copy_of(payload, header.size);
    if (copy)
        took_event(delivery);
    pthread_mutex_unlock(&delivery->events.lock);
    if (verdict_is_open(&delivery->channel->verdict))
        channel_settle_now(delivery->channel);
    if (!copy)
        return 0;
    dispatch(delivery, copy, header.code, copy + header.code, header.size - header.code);
    free(copy);
    return 1;
}

/* --- to berth_reap -------------------------------------------------------------------------------------------------
 */

/* All listeners of an event share one copy of it. 1: it has gone to every one of them. */
static int fan_out(struct delivery *delivery, struct reap_sink *sink, struct half_told *told, size_t offset) {
    const uint8_t *name = sink->arena->bytes + offset;
    struct listener listener = {.id = told->after};
    while (listeners_next(delivery, name, told->name_len, &told->last, &listener)) {
        /* One with a callback was added just now, and with it the event thread: its next event comes there. */
        if (!listener.callback && !reap_sink_add(sink, BERTH_EVENT, listener.id, BERTH_RET_OK, listener.user_data,
                                                 offset + told->name_len, told->len))
            return 0;
        told->after = listener.id;
    }
    return 1;
}

/* The batch had no room for all of them: the others have the event in the next. */
static void keep_half_told(struct delivery *delivery, const struct reap_sink *sink, const struct half_told *told,
                           size_t offset) {
    struct half_told *kept = &delivery->half_told;
    *kept = *told;
    kept->bytes = copy_of(sink->arena->bytes + offset, told->name_len + told->len); /* no memory: they miss it */
}

int events_tell_the_others(struct delivery *delivery, struct reap_sink *sink) {
    struct half_told *told = &delivery->half_told;
    size_t offset;
    if (!told->bytes)
        return 1;
    struct reap_mark mark = reap_sink_mark(sink);
    if (sink->count == sink->capacity || !reap_sink_copy(sink, told->bytes, told->name_len + told->len, &offset))
        return 0;
    if (!fan_out(delivery, sink, told, offset))
        return 0;
    reap_sink_forget(sink, mark);
    free(told->bytes);
    told->bytes = NULL;
    return 1;
}

int events_gather(struct delivery *delivery, struct reap_sink *sink) {
    struct berth_frame_header header;
    const uint8_t *payload;
    size_t offset;
    struct reap_mark mark = reap_sink_mark(sink);
    if (sink->count == sink->capacity || !peek(delivery, &header, &payload) ||
        !reap_sink_copy(sink, payload, header.size, &offset))
        return 0;
    took_event(delivery);
    struct half_told told = {NULL, header.code, header.size - header.code, 0, 0};
    if (fan_out(delivery, sink, &told, offset)) {
        reap_sink_forget(sink, mark);
        return 1;
    }
    keep_half_told(delivery, sink, &told, offset);
    return 0;
}
