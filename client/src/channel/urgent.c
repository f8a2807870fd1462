#include "channel/urgent.h"

#include "base/clock.h"
#include "kill_point.h"

int channel_send_urgent(struct channel *channel, uint16_t frame_kind, uint64_t id, uint32_t code) {
    struct berth_frame_header header = {0, frame_kind, 0, id, code, 0, 0};
    uint8_t *payload;
    uint32_t due = BERTH_AWAKE;
    pthread_mutex_lock(&channel->submit_lock);
    int rc = berth_ring_reserve(&channel->urgent_ring, 0, &payload);
    if (rc == 0)
        due = berth_ring_commit(&channel->urgent_ring, &header);
    urgent_wake_reader(channel, &channel->urgent_ring, due);
    pthread_mutex_unlock(&channel->submit_lock);
    return rc;
}

void channel_send_cancel(struct channel *channel, struct request *request, uint64_t id) {
    if (channel_send_urgent(channel, BERTH_FRAME_CANCEL, id, 0) == 0)
        return;
    __atomic_store_n(&request->cancel_due, (uint32_t)(id >> 32), __ATOMIC_RELAXED);
    __atomic_store_n(&channel->cancels_due, 1, __ATOMIC_SEQ_CST);
    channel->owner_calls->look_again(channel->owner, berth_now_ns() + URGENT_AGAIN_NS);
}

/* Of a request that has been answered meanwhile nothing is said. */
uint64_t channel_send_cancels(struct channel *channel, uint64_t now) {
    uint32_t at = 0;
    if (!__atomic_exchange_n(&channel->cancels_due, 0, __ATOMIC_SEQ_CST))
        return 0;
    for (struct request *request; (request = slots_next(&channel->slots, &at));) {
        uint64_t word = request_load(request);
        uint32_t due = __atomic_load_n(&request->cancel_due, __ATOMIC_RELAXED);
        if (!due || due != request_generation_of(word) || request_state_of(word) != REQUEST_ABANDONED)
            continue;
        if (channel_send_urgent(channel, BERTH_FRAME_CANCEL, word >> 32 << 32 | request->slot, 0) != 0) {
            __atomic_store_n(&channel->cancels_due, 1, __ATOMIC_SEQ_CST);
            return now + URGENT_AGAIN_NS;
        }
        /* Unless the slot was given up anew meanwhile. */
        __atomic_compare_exchange_n(&request->cancel_due, &due, 0, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
    return 0;
}

void channel_ask_to_close(struct channel *channel) {
    __atomic_store_n(&channel->segment.header->closing, 1, __ATOMIC_RELEASE);
    berth_ring_kick(channel->request_ring.control); /* it sleeps on the request ring, if it does */
    BERTH_KILL_POINT("host.closing_set");
}

int channel_withdraw(struct channel *channel, uint32_t attempt) {
    uint32_t before = attempt << 1, after = (attempt + 1) << 1;
    return __atomic_compare_exchange_n(&channel->segment.header->lease_claim, &before, after, 0, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}
