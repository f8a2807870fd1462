/* Closing a context: no more requests, then the worker's CLOSED frame, its death or the bound, then the last callback.
 */
#include "channel/baton.h"
#include "channel/settle.h"
#include "channel/urgent.h"
#include "channel/wait.h"
#include "context/context.h"
#include "kill_point.h"
#include "status.h"

#define CLOSE_ANSWER_BYTES 64u
#define SETTLE_LOOK_NS 50000000u

void context_leave_worker(struct context *context) {
    channel_send_urgent(&context->channel, BERTH_FRAME_CLOSE, 0, 0);
    if (lease_has(&context->lease, LEASE_HAS_WORKER))
        context->home->say_closing(context);
}

void context_leave_live_worker(struct context *context) {
    if (lease_has(&context->lease, LEASE_HAS_WORKER) && verdict_ret(&context->channel.verdict) != BERTH_RET_WORKER_DIED)
        context->home->say_closing(context);
}

/* What a context with a verdict is to become shows when it is settled. */
static void lock_settled(struct context *context) {
    for (;;) {
        pthread_mutex_lock(&context->channel.submit_lock);
        uint32_t state = context->lease.state;
        if (state != LEASE_ENDING && state != LEASE_PAUSING)
            return;
        pthread_mutex_unlock(&context->channel.submit_lock);
        channel_wait(&context->channel, NULL, berth_now_ns() + SETTLE_LOOK_NS);
    }
}

/* With the lock, in a state that accepts. 1: there is a worker to close; 0: it is lost, and so closed. */
static int begin(struct context *context, struct completion *answer) {
    struct lease *lease = &context->lease;
    int serves = lease_serves(lease);
    lease->close_answer = answer;
    if (serves) {
        uint64_t ms = lease_close_ms(lease) + CLOSE_SLACK_MS;
        bound_set(&lease->bounds, BOUND_CLOSE, berth_now_ns() + ms * 1000000u);
        if (answer)
            outbox_owe(&context->channel.outbox, 1);
    } else {
        /* Before the state says so: berth_reap may then end the context, and with it the thread that runs the callback.
         */
        __atomic_store_n(&lease->outcome, BERTH_KILLED, __ATOMIC_RELAXED);
        __atomic_store_n(&context->channel.verdict.passing, 0, __ATOMIC_SEQ_CST);
        context_answer_close(context);
    }
    lease_move(lease, LEASE_CLOSE);
    return serves;
}

static int refusal(uint32_t state) {
    return state == LEASE_CLOSED || state == LEASE_OVER ? BERTH_RET_CLOSED : BERTH_RET_ERR;
}

int context_begin_close(struct context *context, berth_callback done, void *user_data) {
    static const uint8_t room[CLOSE_ANSWER_BYTES];
    struct completion *answer =
        done ? completion_new(BERTH_NOTICE, 0, BERTH_RET_OK, done, user_data, room, sizeof room) : NULL;
    if (done && !answer)
        return BERTH_RET_EXHAUSTED;
    lock_settled(context);
    uint32_t state = context->lease.state;
    int accepted = lease_fsm_next(state, lease_facts(&context->lease), LEASE_CLOSE) >= 0;
    int serves = accepted && begin(context, answer);
    pthread_mutex_unlock(&context->channel.submit_lock);
    if (!accepted) {
        completion_free(answer);
        return refusal(state);
    }
    if (!serves) {
        poll_signal(&context->channel);
        if (!completion_count(&context->channel.outbox.for_reap))
            context_over(context);
        return BERTH_RET_OK;
    }
    bound_set(&context->lease.bounds, BOUND_QUICK, berth_now_ns() + QUICK_CLOSE_NS);
    parker_unpark(&context->channel.outbox.reader);
    BERTH_KILL_POINT("host.close_begun");
    channel_ask_to_close(&context->channel);
    return BERTH_RET_OK;
}

void context_announce_close(struct context *context) {
    bound_lift(&context->lease.bounds, BOUND_QUICK);
    channel_send_urgent(&context->channel, BERTH_FRAME_CLOSE, 0, 0);
    BERTH_KILL_POINT("host.close_sent");
    if (lease_has(&context->lease, LEASE_HAS_WORKER)) /* else it is said when OPENED comes */
        context->home->say_closing(context);
    due_arm(&context->due, bound_at(&context->lease.bounds, BOUND_CLOSE));
}

void context_wait_closed(struct context *context) {
    bound_set(&context->lease.bounds, BOUND_QUICK, berth_now_ns() + QUICK_CLOSE_NS); /* from when it is waited for */
    if (channel_wait(&context->channel, NULL, bound_at(&context->lease.bounds, BOUND_QUICK)))
        return;
    context_announce_close(context);
    channel_wait(&context->channel, NULL, 0);
}

void context_close_unattended(struct context *context) {
    if (context_begin_close(context, NULL, NULL) != 0)
        return;
    __atomic_store_n(&context->channel.last_resort, 1, __ATOMIC_SEQ_CST);
    context->home->read_for(context);
    if (baton_take(&context->channel))
        channel_leave(&context->channel); /* arms the ring */
    context_announce_close(context);
}

void context_close_quietly(struct context *context, int at_once) {
    if (context_begin_close(context, NULL, NULL) != 0)
        return;
    if (at_once) {
        context_leave_worker(context);
        context_end_text(context, BERTH_RET_RECYCLED, BERTH_TEXT_CUT_OFF);
    }
    context_wait_closed(context);
}
