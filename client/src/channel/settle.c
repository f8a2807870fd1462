#include "channel/settle.h"

#include "base/raw_io.h"
#include "channel/baton.h"
#include "channel/drain.h"
#include "kill_point.h"

static void answer_one(struct channel *channel, struct request *request, int ret) {
    uint64_t word = request_load(request);
    uint32_t generation = request_generation_of(word);
    while (request_state_of(word) != REQUEST_FREE && request_state_of(word) != REQUEST_DONE) {
        if (request_claim(request, generation, REQUEST_ANY_KIND, &word)) {
            if (request_answer(channel, request, NULL, NULL, ret, channel->verdict.data, channel->verdict.len) == 0) {
                channel->cut_off += ret == BERTH_RET_RECYCLED;
                return;
            }
            raw_pause(1); /* no memory */
        } else if (request_state_of(word) == REQUEST_ABANDONED) {
            slots_free(&channel->slots, request);
            return;
        }
        word = request_load(request);
    }
}

static void settle(struct channel *channel) {
    int ret = (int)verdict_ret(&channel->verdict);
    uint32_t at = 0;
    if (ret != BERTH_RET_PROTOCOL)
        channel_drain_last(channel);
    for (struct request *request; (request = slots_next(&channel->slots, &at));)
        answer_one(channel, request, ret);
    BERTH_KILL_POINT("host.all_answered");
    __atomic_store_n(&channel->last_resort, 0, __ATOMIC_SEQ_CST);
    channel->owner_calls->settled(channel->owner, channel->cut_off);
    __atomic_store_n(&channel->verdict.settled, 1, __ATOMIC_SEQ_CST);
    channel->owner_calls->over(channel->owner);
    parker_unpark(&channel->outbox.reader);
    poll_signal(channel);
    baton_call_all(channel);
}

void channel_leave(struct channel *channel) {
    int again, tell;
    do {
        if (verdict_is_open(&channel->verdict))
            settle(channel);
        int wanted = baton_wants_poll(channel);
        tell = baton_let_go(channel);
        /* Not before: berth_reap would come, find the baton taken, and go back to sleep. */
        if (tell)
            poll_signal(channel);
        /* Who came since the looks above found the baton taken, and leaves the rest to us. */
        again = verdict_is_open(&channel->verdict) || (!wanted && baton_wants_poll(channel));
    } while (again && baton_take(channel));
    if (__atomic_load_n(&channel->baton_wanted, __ATOMIC_SEQ_CST))
        baton_call_next(channel);
}

void channel_settle_now(struct channel *channel) {
    channel_poke(channel);
    if (baton_take(channel))
        channel_leave(channel);
}
