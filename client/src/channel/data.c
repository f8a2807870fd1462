#include "channel/data.h"

#include "base/clock.h"
#include "channel/baton.h"
#include "channel/drain.h"
#include "channel/urgent.h"
#include "kill_point.h"
#include "status.h"

#define SEND_FROM (64u << 10) /* credit is sent so much at a time, or all of it when nothing is unread any more */

static uint32_t credit_due(const struct request *request) {
    return __atomic_load_n(&request->credit_due, __ATOMIC_RELAXED);
}

/* The request is claimed. 0, or -ENOSPC: what is due goes with the next, or when the control thread comes by. */
static int send_due(struct channel *channel, struct request *request, int all) {
    uint32_t due = credit_due(request);
    if (!due || (!all && due < SEND_FROM && request->unread))
        return 0;
    if (channel_send_urgent(channel, BERTH_FRAME_CREDIT, request_id(request), due) != 0)
        return -ENOSPC;
    __atomic_store_n(&request->credit_due, 0, __ATOMIC_RELAXED);
    return 0;
}

static void give_credit(struct channel *channel, struct request *request, uint32_t cost, int all) {
    __atomic_store_n(&request->credit_due, credit_due(request) + cost, __ATOMIC_RELAXED);
    if (send_due(channel, request, all) != 0)
        channel->owner_calls->look_again(channel->owner, berth_now_ns() + URGENT_AGAIN_NS);
}

void channel_credit(struct channel *channel, uint64_t id, size_t len) {
    struct request *request = slots_find(&channel->slots, id);
    uint64_t seen;
    uint32_t cost = berth_data_cost((uint32_t)len);
    if (!request || !request_claim(request, (uint32_t)(id >> 32), REQUEST_SUBMITTED, &seen))
        return; /* it has been answered, and needs none */
    request->unread -= cost;
    give_credit(channel, request, cost, 0);
    request_unclaim(request);
}

uint64_t channel_send_credit(struct channel *channel, uint64_t now) {
    uint64_t next = 0, seen;
    uint32_t at = 0;
    for (struct request *request; (request = slots_next(&channel->slots, &at));) {
        uint64_t word = request_load(request);
        if (!credit_due(request) || !request_claim(request, request_generation_of(word), REQUEST_ANY_KIND, &seen))
            continue;
        if (send_due(channel, request, 1) != 0)
            next = now + URGENT_AGAIN_NS;
        request_unclaim(request);
    }
    return next;
}

static int deliver(struct channel *channel, struct request *request, const uint8_t *payload, size_t len,
                   struct reap_sink *sink) {
    const struct request_options *to = &request->options;
    if (goes_to_sink(channel, request, sink))
        return reap_sink_put(sink, BERTH_DATA, request_id(request), BERTH_RET_STALE_WARN, to->user_data, payload, len)
                   ? 0
                   : -ENOBUFS;
    int rc = outbox_put(&channel->outbox, BERTH_DATA, request_id(request), BERTH_RET_STALE_WARN, to->callback,
                        to->user_data, payload, len);
    if (rc == 0)
        outbox_told(channel, to->callback);
    return rc;
}

/* One that is alone may be of any size. */
static int is_within_credit(const struct request *request, uint32_t cost) {
    uint32_t unread = request->unread;
    return !unread || (unread <= BERTH_DATA_CREDIT && cost <= BERTH_DATA_CREDIT - unread);
}

/* More is unread than is kept. It is answered here, and its module is told; what else that says is dropped. */
static int give_up(struct channel *channel, struct request *request) {
    const struct request_options *to = &request->options;
    uint64_t id = request_id(request);
    int rc = outbox_put(&channel->outbox, BERTH_REPLY, id, BERTH_RET_TOO_LARGE, to->callback, to->user_data,
                        BERTH_TEXT_UNREAD, sizeof BERTH_TEXT_UNREAD - 1);
    if (rc)
        return rc;
    outbox_told(channel, to->callback);
    if (to->callback)
        outbox_owe(&channel->outbox, -1);
    request_move(request, REQUEST_ABANDONED);
    channel_send_cancel(channel, request, id);
    return 0;
}

/* The claim ends here. */
static int take_submitted(struct channel *channel, struct request *request, const uint8_t *payload, uint32_t len,
                          int must_wait, struct reap_sink *sink) {
    uint32_t cost = berth_data_cost(len);
    int rc = 0;
    if (!is_within_credit(request, cost)) {
        rc = -EBADMSG;
    } else if (must_wait) {
        channel->stuffed = 1;
        rc = -ENOBUFS;
    } else if (!goes_to_sink(channel, request, sink) && outbox_has_no_more_room(&channel->outbox, len)) {
        rc = give_up(channel, request);
        if (rc == 0)
            return 0;
    } else {
        rc = deliver(channel, request, payload, len, sink);
    }
    if (rc == 0) {
        request->unread += cost; /* its reader's credit waits for the claim */
        if (request->options.stale_warn_ns)
            request->options.next_ping_ns = berth_now_ns() + request->options.stale_warn_ns;
    }
    request_unclaim(request);
    return rc;
}

/* Claimed meanwhile, so that a cancel's answer cannot come first. Who waits for the answer alone does not see it, nor
 * who has given it up; the module goes on all the same. */
int channel_take_data(struct channel *channel, const struct berth_frame_header *header, const uint8_t *payload,
                      int must_wait, struct reap_sink *sink) {
    struct request *request = slots_find(&channel->slots, header->id);
    uint64_t word = request ? request_load(request) : 0;
    uint32_t state = request_state_of(word);
    int rc = 0;
    if (!request || word >> 32 != header->id >> 32 || state == REQUEST_FREE || state == REQUEST_DONE)
        return -EBADMSG;
    if (!request_claim(request, (uint32_t)(header->id >> 32), REQUEST_ANY_KIND, &word))
        return 0; /* given up: the worker waits for no credit once it knows */
    if (request_is(word, REQUEST_SUBMITTED)) {
        rc = take_submitted(channel, request, payload, header->size, must_wait, sink);
    } else {
        give_credit(channel, request, berth_data_cost(header->size), 1);
        request_unclaim(request);
    }
    BERTH_DELAY_POINT("host.data_taken");
    return rc;
}
