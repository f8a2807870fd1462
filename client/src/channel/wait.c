#include "channel/wait.h"

#include "base/clock.h"
#include "channel/baton.h"
#include "channel/drain.h"
#include "channel/settle.h"
#include "kill_point.h"

static void sleep_on_ring(struct channel *channel, uint32_t poke, uint64_t deadline_ns) {
    struct berth_ring_consumer *ring = &channel->reply_ring;
    if (!berth_ring_prepare_wait(ring, BERTH_ASLEEP_FUTEX))
        return;
    channel->owner_calls->waits(channel->owner);
    __atomic_store_n(&channel->ring_asleep, 1, __ATOMIC_SEQ_CST);
    if (channel_poke_seen(channel) == poke)
        berth_ring_sleep(ring, deadline_ns);
    __atomic_store_n(&channel->ring_asleep, 0, __ATOMIC_RELAXED);
    berth_ring_finish_wait(ring);
}

int channel_await_frame(struct channel *channel, uint32_t poke, uint64_t deadline_ns) {
    uint64_t started;
    if (berth_ring_spin(&channel->reply_ring, &channel->spin, &channel->poke, poke, deadline_ns, &started))
        return 1;
    sleep_on_ring(channel, poke, deadline_ns);
    if (started)
        berth_spin_learn(&channel->spin, berth_now_ns() - started);
    return 0;
}

static int is_done(const struct channel *channel, const struct request *request) {
    return request ? request_is_done(request) : verdict_is_settled(&channel->verdict);
}

/* An open or a close takes longer than spinning is for, and would teach it the wrong gap. */
static int is_quick(const struct channel *channel, const struct request *request) {
    return request && request_kind_of(__atomic_load_n(&request->word, __ATOMIC_RELAXED)) == REQUEST_BLOCKING &&
           !__atomic_load_n(&channel->refusal, __ATOMIC_RELAXED);
}

void channel_lead(struct channel *channel, struct request *request, uint64_t deadline_ns) {
    while (!is_done(channel, request)) {
        uint32_t poke = channel_poke_seen(channel);
        int taken = channel_drain(channel, request, NULL, DRAIN_BATCH);
        /* Also where there is always something to take. */
        if ((taken && is_done(channel, request)) || verdict_is_given(&channel->verdict) || clock_passed(deadline_ns))
            break;
        if (taken)
            continue;
        if (is_quick(channel, request))
            channel_await_frame(channel, poke, deadline_ns);
        else
            sleep_on_ring(channel, poke, deadline_ns);
    }
    BERTH_DELAY_POINT("host.leader_leaves");
    channel_leave(channel);
}

static void follow(struct channel *channel, struct request *request, uint64_t deadline_ns) {
    for (uint32_t i = 0; channel->spin.allowed && i < BERTH_SPIN_BLIND; i++) {
        if (is_done(channel, request) || !__atomic_load_n(&channel->baton, __ATOMIC_RELAXED))
            return;
        berth_spin_pause();
    }
    struct parker parker = {PARKER_EMPTY};
    struct baton_waiter waiter = {request ? &request->parker : &parker, NULL, NULL};
    baton_link(channel, &waiter);
    if (!is_done(channel, request) && !baton_is_free(channel))
        parker_park(waiter.parker, deadline_ns);
    baton_unlink(channel, &waiter);
}

int channel_wait(struct channel *channel, struct request *request, uint64_t deadline_ns) {
    int followed = 0;
    while (!is_done(channel, request) && !clock_passed(deadline_ns)) {
        followed = !baton_take(channel);
        if (followed)
            follow(channel, request, deadline_ns);
        else
            channel_lead(channel, request, deadline_ns);
    }
    /* Called, but with nothing left to wait for: the call was for the baton, so it goes on to the next. */
    if (followed)
        baton_pass_on(channel);
    return is_done(channel, request);
}
