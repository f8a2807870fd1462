#include "kill_point.h"
#define BERTH_RING_TAIL_STORED BERTH_KILL_POINT("host.tail_stored")

#include "channel/submit.h"

#include <sys/mman.h>

#include "channel/baton.h"
#include "channel/drain.h"
#include "channel/settle.h"
#include "channel/urgent.h"

#define TRIM_AFTER_NS 1000000000u /* idle time after which a burst's pages are given back */

int channel_submit_locked(struct channel *channel, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                          const struct request_options *options, struct request **out, uint64_t *out_id) {
    if (channel->refusal)
        return (int)channel->refusal;
    struct request *request = slots_take(&channel->slots, options->kind);
    if (!request)
        return BERTH_RET_BUSY;
    uint8_t *payload;
    int rc = berth_ring_reserve(&channel->request_ring, (uint32_t)len, &payload);
    if (rc) {
        slots_put_back(&channel->slots, request);
        return rc == -ENOSPC ? BERTH_RET_QUEUE_FULL : BERTH_RET_PROTOCOL;
    }
    if (len)
        memcpy(payload, data, len);
    request_publish(request, options);
    struct berth_frame_header header = {(uint32_t)len, frame_kind, 0, request_id(request), method, 0, 0};
    *out = request;
    if (out_id)
        *out_id = header.id; /* before the frame is out: the answer may come first */
    __atomic_store_n(&channel->segment.header->requests_submitted, ++channel->submitted, __ATOMIC_RELAXED);
    BERTH_KILL_POINT("host.frame_reserved");
    uint32_t due = berth_ring_commit(&channel->request_ring, &header);
    BERTH_KILL_POINT("host.frame_committed");
    urgent_wake_reader(channel, &channel->request_ring, due);
    BERTH_KILL_POINT("host.frame_sent");
    slots_prepare(&channel->slots);
    return 0;
}

/* The worker's answers to requests that were given up are read with others'. Where there are no others nobody reads,
 * and their slots would not come back. */
static void read_late_answers(struct channel *channel) {
    if (!slots_any_abandoned(&channel->slots) || !baton_take(channel))
        return;
    for (int left = 16; left-- && channel_drain(channel, NULL, NULL, DRAIN_BATCH) == DRAIN_BATCH;) {
    }
    channel_leave(channel);
}

static int submit_once(struct channel *channel, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                       const struct request_options *options, struct request **out, uint64_t *out_id) {
    pthread_mutex_lock(&channel->submit_lock);
    int rc = channel_submit_locked(channel, frame_kind, method, data, len, options, out, out_id);
    if (len > BERTH_HOT_WINDOW)
        channel->last_large_ns = berth_now_ns();
    pthread_mutex_unlock(&channel->submit_lock);
    return rc;
}

int channel_submit(struct channel *channel, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                   const struct request_options *options, struct request **out, uint64_t *out_id) {
    if (len > BERTH_MAX_PAYLOAD)
        return BERTH_RET_TOO_LARGE;
    int rc = submit_once(channel, frame_kind, method, data, len, options, out, out_id);
    if (rc == BERTH_RET_BUSY) {
        read_late_answers(channel);
        rc = submit_once(channel, frame_kind, method, data, len, options, out, out_id);
    }
    if (len > BERTH_HOT_WINDOW)
        channel->owner_calls->look_again(channel->owner, berth_now_ns() + TRIM_AFTER_NS);
    return rc;
}

uint64_t channel_trim(struct channel *channel, uint64_t now) {
    uint64_t next = 0;
    struct berth_ring_producer *ring = &channel->request_ring;
    pthread_mutex_lock(&channel->submit_lock);
    if (ring->high_water > 2 * BERTH_HOT_WINDOW) {
        if (berth_ring_refresh_head(ring) == 0 && ring->head_seen == ring->tail &&
            now - channel->last_large_ns >= TRIM_AFTER_NS) {
            madvise(ring->bytes + BERTH_HOT_WINDOW,
                    ((ring->high_water + BERTH_RING_ALIGN - 1) & ~(uint64_t)(BERTH_RING_ALIGN - 1)) - BERTH_HOT_WINDOW,
                    MADV_REMOVE);
            ring->high_water = BERTH_HOT_WINDOW;
        } else {
            next = now + TRIM_AFTER_NS;
        }
    }
    pthread_mutex_unlock(&channel->submit_lock);
    return next;
}
