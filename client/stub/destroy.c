/* Ending a context. Requests in flight have the module's drain timeout, are then cancelled, and are then cut off: each
 * has its callback, and the context's end is bounded whatever the library does.
 *
 * Inside a callback nothing waits for callbacks: they run on the threads that would have to wait. The context is gone
 * when the function returns, and what is left to tell follows. */
#include "status.h"
#include "stub.h"

static void context_over(struct stub_context *context) {
    stub_listeners_drop(context);
    stub_context_retract(context);
    stub_context_give(context); /* its life */
}

static int begin(struct stub_context *context) { return !__atomic_exchange_n(&context->closing, 1, __ATOMIC_ACQ_REL); }

int stub_destroy(void *ctx) {
    struct stub_context *context = stub_context_take(ctx);
    int rc = STUB_RET_OK;
    if (!context)
        return stub_failed_forget(ctx) ? STUB_RET_OK : STUB_RET_ERR;
    if (!begin(context)) {
        stub_context_give(context);
        return STUB_RET_ERR;
    }
    berth_close(context->berth, NULL, NULL); /* what it refuses is over already */
    context_over(context);
    if (!stub_inside_callback() && !stub_context_wait_alone(context))
        rc = STUB_RET_ERR;
    stub_context_give(context);
    return rc;
}

static void on_closed(int ret, const uint8_t *data, size_t len, void *user_data) {
    (void)ret, (void)data, (void)len;
    struct stub_context *context = user_data;
    stub_callback_thread(context);
    context_over(context);
}

/* The host's callback is made by the context's last user. */
int stub_destroy_async(void *ctx, FFICallback cb, void *ud) {
    if (!cb)
        return STUB_RET_MISSING_CALLBACK;
    struct stub_context *context = stub_context_take(ctx);
    if (!context && stub_failed_forget(ctx))
        return stub_tell_done(cb, ud);
    if (!context)
        return stub_refuse(cb, ud, stub_forked() ? BERTH_RET_FORKED : BERTH_RET_INVALID_CTX);
    if (!begin(context)) {
        stub_context_give(context);
        return stub_refuse_text(cb, ud, BERTH_TEXT_ALREADY_RECYCLING);
    }
    context->destroy_cb = cb;
    context->destroy_ud = ud;
    if (berth_close(context->berth, on_closed, context) != BERTH_RET_OK) {
        berth_close(context->berth, NULL, NULL); /* no thread for the callback */
        context_over(context);
    }
    stub_context_give(context);
    return STUB_RET_OK;
}
