/* A context that comes back on another worker after its own has died (BERTH_RESTART). Control thread.
 *
 * The new worker gets a fresh segment, mapped over the old one in a single step: rings stay where every thread of the
 * host looks for them, and one that looks at a bad moment wakes somebody for nothing. Private indices are set anew with
 * the baton, event_lock and submit_lock held, so that nobody is in the middle of a frame. */
#include <stdlib.h>

#include "context.h"
#include "raw_io.h"

int context_keep_for_restart(struct context *context, const void *config, size_t config_len) {
    context->config = malloc(config_len + 1);
    if (!context->config)
        return -ENOMEM;
    if (config_len)
        memcpy(context->config, config, config_len);
    context->config_len = config_len;
    return 0;
}

int context_restart_is_due(const struct context *context) {
    return __atomic_load_n(&context->restart_pending, __ATOMIC_SEQ_CST) &&
           __atomic_load_n(&context->settled, __ATOMIC_SEQ_CST);
}

static void hold(struct context *context) {
    while (!baton_take(context))
        sched_yield(); /* its holder sees the verdict and leaves */
    pthread_mutex_lock(&context->event_lock);
    pthread_mutex_lock(&context->submit_lock);
}

static void let_go(struct context *context) {
    pthread_mutex_unlock(&context->submit_lock);
    pthread_mutex_unlock(&context->event_lock);
    baton_give(context);
}

static void forget_worker(struct context *context) {
    context_unwatch_worker(context);
    context->id = 0;
    context->known_on = context->closing_said_on = 0;
    context->attempt = 0;
    context->died_ns = 0;
    context->worker_pid = 0;
    context->poll_armed = context->event_armed = 0;
    context->events_taken = context->dropped_told = 0;
    context->stuck_told = 0;
    context->submitted = 0;
    context->liveness = (struct liveness){0};
    free(context->fail_data);
    context->fail_data = NULL;
    context->fail_len = 0;
    __atomic_store_n(&context->fail_ret, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&context->opened, 0, __ATOMIC_RELEASE);
}

/* With everything held. 0, or a berth_ret. */
static int begin_anew(struct context *context, int segment_fd) {
    struct request *request;
    struct request what = {.kind = REQUEST_INTERNAL, .next_ping_ns = UINT64_MAX};
    int rc = segment_replace(&context->segment, context->max_in_flight, segment_fd);
    if (rc < 0)
        return BERTH_RET_EXHAUSTED;
    context_attach_rings(context);
    forget_worker(context);
    context_move(context, CONTEXT_RESTART);
    rc = context_submit_locked(context, BERTH_FRAME_CREATE, 0, context->config, context->config_len, &what, &request,
                               NULL);
    if (rc)
        return rc;
    __atomic_store_n(&context->create_id, request->id, __ATOMIC_RELEASE);
    context->restarts++;
    context->open_bound_ns = berth_now_ns() + ((uint64_t)context->open_timeout_ms + OPEN_SLACK_MS) * 1000000u;
    __atomic_store_n(&context->settled, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&context->failed, 0, __ATOMIC_SEQ_CST);
    return 0;
}

void context_restart(struct context *context) {
    int segment_fd = -1, ret = BERTH_RET_UNAVAILABLE;
    hold(context);
    if (context_fsm_next(context->state, CONTEXT_RESTART) >= 0 && segment_make(&segment_fd) == 0)
        ret = begin_anew(context, segment_fd);
    __atomic_store_n(&context->restart_pending, 0, __ATOMIC_SEQ_CST);
    let_go(context);
    if (ret != 0) {
        raw_close(segment_fd);
        reap_signal(context); /* it stays lost, and berth_reap may say so now */
        return;
    }
    context->segment_fd = segment_fd;
    context_tell_events_wanted(context);
    context_ask_for_worker(context);
    context_arm_tick(context, context->open_bound_ns);
    event_thread_wake(context);
}
