/* Calls: a blocking one, one answered later, and its cancellation. */
#include "context.h"
#include "kill_point.h"
#include "status.h"

uint64_t coarse_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t deadline_after(int timeout_ms) {
    return timeout_ms < 0 ? 0 : berth_now_ns() + (uint64_t)timeout_ms * 1000000u + 1;
}

/* The deadline has passed. 1: the answer came in the same moment and stands. */
static int abandon(struct context *context, struct request *request) {
    for (;;) {
        uint32_t state = REQUEST_PENDING;
        if (__atomic_compare_exchange_n(&request->state, &state, REQUEST_ABANDONED, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            break;
        if (state == REQUEST_DONE)
            return 1;
        berth_spin_pause(); /* the answer is being copied */
    }
    context_send_urgent(context, BERTH_FRAME_CANCEL, request->id);
    return 0;
}

int berth_call(berth_context handle, uint32_t method, const void *data, size_t len, int timeout_ms,
               struct berth_reply *reply) {
    int ret;
    if (!reply || (!data && len))
        return reply ? reply_text(reply, BERTH_RET_INVALID_ARGUMENT, "data is NULL") : BERTH_RET_INVALID_ARGUMENT;
    struct context *context = context_acquire(handle, &ret);
    if (!context)
        return reply_text(reply, ret, context_refusal_text(ret));
    struct request *request;
    struct request what = {.kind = REQUEST_BLOCKING, .reply = reply};
    uint64_t deadline_ns = deadline_after(timeout_ms);
    ret = context_submit(context, BERTH_FRAME_REQUEST, method, data, len, &what, &request, NULL);
    if (ret) {
        context_refuse(context, ret, reply);
    } else if (context_wait_request(context, request, deadline_ns) || abandon(context, request)) {
        ret = reply->ret;
        request_free(context, request);
    } else {
        ret = reply_text(reply, BERTH_RET_TIMEOUT, BERTH_TEXT_TIMEOUT);
    }
    context_release(context);
    return ret;
}

static struct request later(const struct context *context, void *user_data) {
    struct request what = {.kind = REQUEST_POLL, .user_data = user_data, .submitted_ns = coarse_now_ns()};
    what.next_ping_ns = what.submitted_ns + (uint64_t)context->stale_warn_ms * 1000000u;
    return what;
}

static void arm_pings(struct context *context, uint64_t next_ping_ns) {
    if (context->stale_warn_ms != UINT32_MAX && !__atomic_load_n(&context->tick_due_ns, __ATOMIC_SEQ_CST))
        context_arm_tick(context, next_ping_ns);
}

static int submit_later(struct context *context, uint32_t method, const void *data, size_t len, berth_callback callback,
                        void *user_data, uint64_t *out_id) {
    struct request *request;
    struct request what = later(context, user_data);
    what.callback = callback;
    if (callback)
        what.kind = REQUEST_CALLBACK;
    if (callback) {
        if (reply_thread_need(context) != 0)
            return BERTH_RET_EXHAUSTED;
        __atomic_fetch_add(&context->callbacks_owed, 1, __ATOMIC_SEQ_CST);
    }
    int ret = context_submit(context, BERTH_FRAME_REQUEST, method, data, len, &what, &request, out_id);
    if (callback && ret)
        __atomic_fetch_sub(&context->callbacks_owed, 1, __ATOMIC_SEQ_CST);
    else if (callback)
        parker_unpark(&context->reply_parker);
    if (ret == 0) {
        arm_pings(context, what.next_ping_ns);
        context_watch(context);
    }
    return ret;
}

int berth_submit(berth_context handle, uint32_t method, const void *data, size_t len, berth_callback callback,
                 void *user_data, uint64_t *out_id) {
    int ret;
    uint64_t ignored;
    if (!data && len)
        return BERTH_RET_INVALID_ARGUMENT;
    struct context *context = context_acquire(handle, &ret);
    if (!context)
        return ret;
    ret = submit_later(context, method, data, len, callback, user_data, out_id ? out_id : &ignored);
    context_release(context);
    return ret;
}

/* A blocking request that nobody waits for any more becomes one for berth_reap. 0: it has its answer already. */
static int leave_to_reap(struct context *context, struct request *request, const struct request *as) {
    uint32_t state = REQUEST_PENDING;
    while (!__atomic_compare_exchange_n(&request->state, &state, REQUEST_COMPLETING, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
        if (state == REQUEST_DONE)
            return 0;
        state = REQUEST_PENDING;
        berth_spin_pause(); /* the answer is being copied */
    }
    request->kind = REQUEST_POLL;
    request->reply = NULL;
    request->submitted_ns = as->submitted_ns;
    request->next_ping_ns = as->next_ping_ns;
    __atomic_store_n(&request->state, REQUEST_PENDING, __ATOMIC_RELEASE);
    arm_pings(context, as->next_ping_ns);
    return 1;
}

/* The baton comes first: with it the ring is not armed for a poller, so that a quick answer costs no wakeup. */
static int try_call(struct context *context, uint32_t method, const void *data, size_t len, uint32_t wait_us,
                    void *user_data, uint64_t *out_id, struct berth_reply *reply) {
    struct request *request;
    struct request what = later(context, user_data);
    if (wait_us) {
        what.kind = REQUEST_BLOCKING;
        what.reply = reply;
    }
    int leads = wait_us && baton_take(context);
    int ret = context_submit(context, BERTH_FRAME_REQUEST, method, data, len, &what, &request, out_id);
    uint64_t deadline_ns = ret || !wait_us ? 0 : berth_now_ns() + (uint64_t)wait_us * 1000u;
    if (leads && ret)
        baton_give(context);
    else if (leads)
        context_lead(context, request, deadline_ns);
    if (ret) {
        context_refuse(context, ret, reply);
        return ret;
    }
    if (!wait_us)
        arm_pings(context, what.next_ping_ns);
    else if (context_wait_request(context, request, deadline_ns) || !leave_to_reap(context, request, &what)) {
        ret = reply->ret;
        request_free(context, request);
        return ret;
    }
    return reply_text(reply, BERTH_RET_STALE_WARN, "");
}

int berth_try_call(berth_context handle, uint32_t method, const void *data, size_t len, uint32_t wait_us,
                   void *user_data, uint64_t *out_id, struct berth_reply *reply) {
    int ret;
    uint64_t ignored;
    if (!reply || (!data && len))
        return reply ? reply_text(reply, BERTH_RET_INVALID_ARGUMENT, "data is NULL") : BERTH_RET_INVALID_ARGUMENT;
    struct context *context = context_acquire(handle, &ret);
    if (!context)
        return reply_text(reply, ret, context_refusal_text(ret));
    ret = try_call(context, method, data, len, wait_us, user_data, out_id ? out_id : &ignored, reply);
    context_release(context);
    return ret;
}

static int cancel(struct context *context, uint64_t id) {
    uint32_t slot = (uint32_t)id, state = REQUEST_PENDING;
    if (slot >= context->max_in_flight)
        return BERTH_RET_INVALID_ARGUMENT;
    struct request *request = &context->requests[slot];
    /* Claimed first and compared then: the slot may belong to another request by now. */
    while (!__atomic_compare_exchange_n(&request->state, &state, REQUEST_COMPLETING, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
        if (state != REQUEST_COMPLETING)
            return BERTH_RET_INVALID_ARGUMENT;
        state = REQUEST_PENDING;
        berth_spin_pause();
    }
    int ours = request->id == id && request->kind != REQUEST_BLOCKING &&
               id != __atomic_load_n(&context->create_id, __ATOMIC_ACQUIRE);
    int callback = ours && request->kind == REQUEST_CALLBACK;
    int rc = ours ? context_complete(context, BERTH_REPLY, id, BERTH_RET_CANCELLED,
                                     callback ? request->callback : NULL, request->user_data,
                                     BERTH_TEXT_CANCELLED, sizeof BERTH_TEXT_CANCELLED - 1)
                  : -EINVAL;
    __atomic_store_n(&request->state, rc == 0 ? REQUEST_ABANDONED : REQUEST_PENDING, __ATOMIC_RELEASE);
    if (rc)
        return ours ? BERTH_RET_ERR : BERTH_RET_INVALID_ARGUMENT;
    if (callback)
        __atomic_fetch_sub(&context->callbacks_owed, 1, __ATOMIC_SEQ_CST);
    context_send_urgent(context, BERTH_FRAME_CANCEL, id);
    BERTH_KILL_POINT("host.cancel_sent");
    return BERTH_RET_OK;
}

int berth_cancel(berth_context handle, uint64_t id) {
    int ret;
    struct context *context = context_acquire(handle, &ret);
    if (!context)
        return ret;
    ret = cancel(context, id);
    context_release(context);
    return ret;
}

int berth_method(berth_context handle, const char *name, uint32_t *out_method) {
    int ret;
    if (!name || !out_method)
        return BERTH_RET_INVALID_ARGUMENT;
    struct context *context = context_acquire(handle, &ret);
    if (!context)
        return ret;
    uint32_t id = berth_method_id(name, strlen(name));
    ret = BERTH_RET_OK;
    if (context_state(context) == CONTEXT_ACTIVE)
        context_wait_opened(context);
    /* While the open is under way the names are not known yet; a wrong one is then answered by the call. */
    if (__atomic_load_n(&context->opened, __ATOMIC_ACQUIRE)) {
        ret = BERTH_RET_INVALID_ARGUMENT;
        for (size_t i = 0; i < context->method_count && ret; i++)
            if (context->methods[i] == id)
                ret = BERTH_RET_OK;
    }
    if (ret == BERTH_RET_OK)
        *out_method = id;
    context_release(context);
    return ret;
}
