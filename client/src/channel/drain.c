#include "channel/drain.h"

#include "base/raw_io.h"
#include "base/reply.h"
#include "channel/baton.h"
#include "channel/data.h"
#include "channel/progress.h"
#include "kill_point.h"
#include "status.h"

static int put(struct channel *channel, const struct request *request, int ret, const void *data, size_t len) {
    berth_callback callback = request->options.callback;
    int rc = outbox_put(&channel->outbox, BERTH_REPLY, request_id(request), ret, callback, request->options.user_data,
                        data, len);
    if (rc == 0)
        outbox_told(channel, callback);
    return rc;
}

static int answer_submitted(struct channel *channel, struct request *request, struct reap_sink *sink, int ret,
                            const void *data, size_t len) {
    int calls_back = request_is(request_load(request), REQUEST_CALLS_BACK), rc = 0;
    if (goes_to_sink(channel, request, sink)) {
        if (!reap_sink_put(sink, BERTH_REPLY, request_id(request), ret, request->options.user_data, data, len))
            rc = -ENOBUFS;
    } else {
        rc = put(channel, request, ret, data, len);
    }
    if (rc) {
        request_unclaim(request);
        return rc;
    }
    if (calls_back)
        outbox_owe(&channel->outbox, -1);
    slots_free(&channel->slots, request);
    return 0;
}

int request_answer(struct channel *channel, struct request *request, struct request *own, struct reap_sink *sink,
                   int ret, const void *data, size_t len) {
    uint64_t word = request_load(request);
    if (request_is(word, REQUEST_BLOCKS)) {
        reply_set(request->options.reply, ret, data, len);
        BERTH_DELAY_POINT("host.answer_copied");
        request_move(request, REQUEST_DONE);
        if (request != own)
            parker_unpark(&request->parker);
        return 0;
    }
    if (request_is(word, REQUEST_KIND(REQUEST_CREATE_SILENT))) {
        __atomic_store_n(&channel->last_resort, 0, __ATOMIC_SEQ_CST);
        slots_free(&channel->slots, request);
        return 0;
    }
    return answer_submitted(channel, request, sink, ret, data, len);
}

static int known_answer(uint32_t ret) {
    return ret == BERTH_RET_OK || ret == BERTH_RET_ERR || ret == BERTH_RET_TOO_LARGE || ret == BERTH_RET_RECYCLED ||
           ret == BERTH_RET_CANCELLED;
}

/* Answers for callbacks and berth_reap wait in the ring while there is too much unread, but not for a caller whose own
 * answer may lie behind them, and not once no more requests come: a close's end lies behind them, and who waits for that
 * may be their reader; nor where the worker has died, as its last word says how. */
static int must_wait(const struct channel *channel, const struct request *own, const struct reap_sink *sink,
                     size_t len) {
    return !own && !sink && outbox_is_full(&channel->outbox, len) &&
           !__atomic_load_n(&channel->refusal, __ATOMIC_RELAXED) && !channel->last_words &&
           !verdict_is_given(&channel->verdict);
}

/* 0, or a negative errno: -EBADMSG when no honest worker sends such a frame; -ENOMEM, -ENOBUFS: come again. */
static int take_reply(struct channel *channel, const struct berth_frame_header *header, const uint8_t *payload,
                      struct request *own, struct reap_sink *sink) {
    struct request *request = slots_find(&channel->slots, header->id);
    uint64_t word;
    if (!request || !known_answer(header->code))
        return -EBADMSG;
    if (!request_claim(request, (uint32_t)(header->id >> 32), REQUEST_ANY_KIND, &word)) {
        if (word >> 32 != header->id >> 32 || request_state_of(word) != REQUEST_ABANDONED)
            return -EBADMSG;
        slots_free(&channel->slots, request); /* it has had its answer */
        return 0;
    }
    if (request_is(word, REQUEST_SUBMITTED) && must_wait(channel, own, sink, header->size)) {
        request_unclaim(request);
        channel->stuffed = 1;
        return -ENOBUFS;
    }
    uint32_t code = header->code;
    const void *data = payload;
    size_t len = header->size;
    if (code == BERTH_RET_ERR && len == 0) {
        data = BERTH_TEXT_UNKNOWN_ERROR;
        len = sizeof BERTH_TEXT_UNKNOWN_ERROR - 1;
    } else if (request_is(word, REQUEST_SUBMITTED) && len >= sizeof BERTH_TEXT_UNREAD &&
               !goes_to_sink(channel, request, sink) && outbox_has_no_more_room(&channel->outbox, len)) {
        code = code == BERTH_RET_RECYCLED ? code : BERTH_RET_TOO_LARGE;
        data = BERTH_TEXT_UNREAD;
        len = sizeof BERTH_TEXT_UNREAD - 1;
    }
    if (request_is(word, REQUEST_CREATES)) {
        channel->owner_calls->created(channel->owner, code, data, len);
        BERTH_KILL_POINT("host.create_answer_taken");
    }
    int rc = request_answer(channel, request, own, sink, (int)code, data, len);
    if (rc == 0 && code == BERTH_RET_RECYCLED)
        channel->cut_off++;
    return rc;
}

static int take_closed(struct channel *channel, const struct berth_frame_header *header, const uint8_t *payload) {
    uint8_t text[256];
    if (header->code > BERTH_KILLED || header->size > sizeof text - 1)
        return -EBADMSG;
    memcpy(text, payload, header->size); /* it could change while it is judged */
    BERTH_KILL_POINT("host.closed_taken");
    channel->owner_calls->closed(channel->owner, header->code, text, header->size);
    return 0;
}

static int take_frame(struct channel *channel, const struct berth_frame_header *header, const uint8_t *payload,
                      struct request *own, struct reap_sink *sink) {
    switch (header->kind) {
    case BERTH_FRAME_REPLY:
        return take_reply(channel, header, payload, own, sink);
    case BERTH_FRAME_PROGRESS:
        return channel_take_progress(channel, header, payload, sink);
    case BERTH_FRAME_DATA:
        return channel_take_data(channel, header, payload, must_wait(channel, own, sink, header->size), sink);
    case BERTH_FRAME_CLOSED:
        return take_closed(channel, header, payload);
    default:
        return -EBADMSG;
    }
}

int channel_drain(struct channel *channel, struct request *own, struct reap_sink *sink, int most) {
    struct berth_frame_header header;
    const uint8_t *payload;
    int taken = 0;
    channel->stuffed = 0;
    while (taken < most) {
        int rc = berth_ring_peek(&channel->reply_ring, &header, &payload);
        if (rc == 0)
            break;
        if (rc > 0) {
            BERTH_KILL_POINT("host.answer_found");
            rc = take_frame(channel, &header, payload, own, sink);
            BERTH_KILL_POINT("host.answer_taken");
        }
        if (rc == -ENOBUFS)
            break;
        if (rc == -ENOMEM) {
            raw_pause(1);
            break;
        }
        if (rc < 0) {
            channel->owner_calls->broken(channel->owner, "the worker sent a frame that cannot be");
            break;
        }
        berth_ring_advance(&channel->reply_ring);
        BERTH_KILL_POINT("host.answer_released");
        taken++;
        if (own && request_is_done(own))
            break;
    }
    return taken;
}

void channel_drain_last(struct channel *channel) {
    uint64_t until = channel->reply_ring.head + channel->reply_ring.capacity;
    channel->last_words = 1;
    while (channel->reply_ring.head < until && channel_drain(channel, NULL, NULL, DRAIN_BATCH) > 0) {
    }
    channel->last_words = 0;
}
