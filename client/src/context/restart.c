/* A context that comes back on another worker after its own is gone (BERTH_RESTART). Control thread.
 *
 * The new worker gets a fresh segment, mapped over the old one in a single step: rings stay where every thread of the
 * host looks for them, and one that looks at a bad moment wakes somebody for nothing. Private indices are set anew with
 * the baton, the event lock and submit_lock held, so that nobody is in the middle of a frame. */
#include <stdlib.h>

#include "base/raw_io.h"
#include "channel/baton.h"
#include "channel/settle.h"
#include "channel/submit.h"
#include "context/context.h"
#include "delivery/callback_threads.h"
#include "delivery/listeners.h"
#include "kill_point.h"

#define AGAIN_NS 1000000u

static void let_go(struct context *context) {
    pthread_mutex_unlock(&context->channel.submit_lock);
    pthread_mutex_unlock(&context->delivery.events.lock);
    channel_leave(&context->channel);
}

/* Tried, as their holders may have lost the CPU: they see the verdict and leave, and other contexts do not wait for it.
 */
static int hold(struct context *context) {
    if (!baton_take(&context->channel))
        return 0;
    if (pthread_mutex_trylock(&context->delivery.events.lock) != 0) {
        event_thread_wake(&context->delivery);
    } else {
        if (pthread_mutex_trylock(&context->channel.submit_lock) == 0) {
            if (slots_create_is_free(&context->channel.slots))
                return 1;
            /* Whoever waited for the last open is about to leave. */
            pthread_mutex_unlock(&context->channel.submit_lock);
        }
        pthread_mutex_unlock(&context->delivery.events.lock);
    }
    channel_leave(&context->channel);
    return 0;
}

static void forget_worker(struct context *context) {
    struct lease *lease = &context->lease;
    struct seat *seat = &context->seat;
    context->home->unwatch_worker(context);
    raw_close(seat->segment_fd);
    seat->segment_fd = -1;
    seat->id = 0;
    seat->known_on = seat->closing_said_on = 0;
    __atomic_store_n(&seat->attempt, 0, __ATOMIC_RELAXED);
    bound_lift(&lease->bounds, BOUND_DEATH);
    lease->worker_pid = 0;
    lease->death_looks = 0;
    __atomic_fetch_and(&lease->facts, ~(uint32_t)LEASE_HAS_WORKER, __ATOMIC_SEQ_CST);
}

/* With everything held. A verdict that is given here is settled by the baton's holder: by us. */
static void begin_anew(struct context *context, int segment_fd) {
    struct lease *lease = &context->lease;
    struct request *request;
    struct request_options create = {.kind = REQUEST_CREATE_SILENT};
    forget_worker(context);
    verdict_take_back(&context->channel.verdict);
    lease_move(lease, LEASE_RESTART);
    lease->restarts++;
    bound_set(&lease->bounds, BOUND_OPEN, lease_open_deadline(lease));
    int ret = channel_submit_locked(&context->channel, BERTH_FRAME_CREATE, 0, lease->config, lease->config_len, &create,
                                    &request, NULL);
    if (ret) {
        verdict_give(&context->channel.verdict, (uint32_t)ret, NULL, 0, 0);
        lease_move(lease, LEASE_ENDED);
        return;
    }
    context->seat.segment_fd = segment_fd;
    __atomic_store_n(&context->channel.last_resort, 1, __ATOMIC_SEQ_CST);
}

/* It stays lost, and berth_reap may say so now. With submit_lock. */
static void give_up(struct context *context) {
    lease_move(&context->lease, LEASE_ENDED);
    __atomic_store_n(&context->channel.verdict.passing, 0, __ATOMIC_SEQ_CST);
}

static int replace_segment(struct context *context, int *segment_fd) {
    int rc = segment_make(segment_fd);
    if (rc == 0)
        rc = channel_reset(&context->channel, *segment_fd);
    if (rc == 0)
        delivery_reset(&context->delivery);
    else
        raw_close(*segment_fd);
    return rc;
}

void context_restart(struct context *context) {
    int segment_fd = -1, anew = 0;
    context_leave_live_worker(context);
    if (!hold(context)) {
        due_arm(&context->due, berth_now_ns() + AGAIN_NS);
        return;
    }
    if (lease_fsm_next(context->lease.state, lease_facts(&context->lease), LEASE_RESTART) >= 0) {
        anew = replace_segment(context, &segment_fd) == 0;
        if (anew)
            begin_anew(context, segment_fd);
        else
            give_up(context);
    }
    int asks = context->seat.segment_fd >= 0 && anew;
    let_go(context);
    if (!asks) {
        if (anew)
            raw_close(segment_fd);
        poll_signal(&context->channel);
        return;
    }
    BERTH_DELAY_POINT("host.restart_begun");
    listeners_tell_worker(&context->delivery);
    poll_signal(&context->channel); /* who polls arms the new rings */
    context->home->read_for(context);
    context->home->ask_for_worker(context);
    due_arm(&context->due, bound_at(&context->lease.bounds, BOUND_OPEN));
    event_thread_wake(&context->delivery);
}
