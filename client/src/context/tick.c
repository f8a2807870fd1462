/* What is due for a context, by the control thread's clock: its lease's bounds, progress pings, a look at the worker's
 * liveness, and giving a burst's pages back. A context without requests has nothing due. */
#include "channel/data.h"
#include "channel/progress.h"
#include "channel/submit.h"
#include "channel/urgent.h"
#include "context/context.h"
#include "delivery/alive.h"
#include "status.h"

static void close_is_late(struct context *context) {
    __atomic_store_n(&context->lease.outcome, BERTH_KILLED, __ATOMIC_RELAXED);
    context_end_text(context, BERTH_RET_RECYCLED, BERTH_TEXT_CUT_OFF);
}

static int waits_for_supervisor(struct context *context) {
    return !lease_has(&context->lease, LEASE_HAS_WORKER) && context->home->has_no_supervisor(context);
}

static void no_supervisor_came(struct context *context) {
    if (!waits_for_supervisor(context))
        return;
    context_leave_worker(context);
    context_end_text(context, BERTH_RET_UNAVAILABLE, BERTH_TEXT_SUPERVISOR_GONE);
}

void context_open_is_late(struct context *context) {
    if (lease_state(&context->lease) != LEASE_OPENING)
        return;
    int alone = waits_for_supervisor(context);
    context_leave_worker(context);
    context_end_text(context, alone ? BERTH_RET_UNAVAILABLE : BERTH_RET_TIMEOUT,
                     alone ? BERTH_TEXT_SUPERVISOR_GONE : BERTH_TEXT_OPEN_LATE);
}

static void nothing_was_said_of_death(struct context *context) { context->home->worker_died(context); }

static void (*const passed[BOUND_COUNT])(struct context *context) = {
    [BOUND_CLOSE] = close_is_late,
    [BOUND_QUICK] = context_announce_close,
    [BOUND_SUPERVISOR] = no_supervisor_came,
    [BOUND_OPEN] = context_open_is_late,
    [BOUND_DEATH] = nothing_was_said_of_death,
};

static uint64_t look_at_bounds(struct context *context, uint64_t now) {
    struct bounds *bounds = &context->lease.bounds;
    for (int bound = 0; bound < BOUND_COUNT && !verdict_is_given(&context->channel.verdict); bound++) {
        if (!bound_has_passed(bounds, (enum bound)bound, now))
            continue;
        bound_lift(bounds, (enum bound)bound);
        passed[bound](context);
    }
    return bounds_next(bounds, now);
}

uint64_t context_tick(struct context *context, uint64_t now) {
    uint64_t due = due_at(&context->due);
    if (lease_state(&context->lease) == LEASE_PAUSED) {
        __atomic_store_n(&context->due.at_ns, 0, __ATOMIC_SEQ_CST);
        context_restart(context);
        return due_at(&context->due);
    }
    if (!due || due > now)
        return due;
    __atomic_store_n(&context->due.at_ns, 0, __ATOMIC_SEQ_CST);
    if (verdict_is_settled(&context->channel.verdict))
        return 0;
    uint64_t next = look_at_bounds(context, now);
    if (context->stale_warn_ms != UINT32_MAX)
        next = clock_sooner(next, channel_ping(&context->channel, now));
    if (lease_state(&context->lease) == LEASE_ACTIVE && lease_has(&context->lease, LEASE_HAS_WORKER))
        next = clock_sooner(next, alive_look(&context->delivery, context->lease.worker_pid, now));
    next = clock_sooner(next, channel_trim(&context->channel, now));
    next = clock_sooner(next, channel_send_credit(&context->channel, now));
    next = clock_sooner(next, channel_send_cancels(&context->channel, now));
    if (next)
        due_arm(&context->due, next);
    return next;
}
