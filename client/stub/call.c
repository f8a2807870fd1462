/* Calls: one frame on the way there, one callback on the way back, and before it what the module sends on the way. */
#include <stdio.h>
#include <stdlib.h>

#include "status.h"
#include "stub.h"

struct stub_request {
    struct stub_context *context;
    FFICallback cb;
    void *ud;
};

/* Code 3: how long it takes by now, or what the module sends on its way, as it is. */
static void on_way(const struct stub_request *request, const uint8_t *data, size_t len) {
    if (!(berth_stub_library.flags & (STUB_JSON | STUB_NO_PROGRESS)))
        stub_tell(request->cb, request->ud, BERTH_RET_STALE_WARN, data, len);
}

static void on_answer(int ret, const uint8_t *data, size_t len, void *user_data) {
    struct stub_request *request = user_data, copy = *request;
    stub_callback_thread(copy.context);
    if (ret == BERTH_RET_STALE_WARN) {
        on_way(request, data, len);
        return;
    }
    free(request);
    stub_tell(copy.cb, copy.ud, ret, data, len);
    stub_context_give(copy.context);
}

/* A method's id is the same for every context: asked for once. */
static int method_id(struct stub_method *method, const struct stub_context *context, uint32_t *out) {
    *out = __atomic_load_n(&method->id, __ATOMIC_RELAXED);
    if (*out)
        return BERTH_RET_OK;
    int ret = berth_method(context->berth, method->name, out);
    if (ret == BERTH_RET_OK)
        __atomic_store_n(&method->id, *out, __ATOMIC_RELAXED);
    return ret;
}

static int refuse_method(const struct stub_method *method, FFICallback cb, void *ud) {
    char text[sizeof BERTH_TEXT_NOT_IMPLEMENTED + 256];
    snprintf(text, sizeof text, "%s%.255s", BERTH_TEXT_NOT_IMPLEMENTED, method->name);
    return stub_refuse_text(cb, ud, text);
}

/* The context's user goes with the request, or back. */
static int submit(struct stub_method *method, struct stub_context *context, FFICallback cb, void *ud, const void *data,
                  size_t len) {
    uint32_t id;
    int ret = method_id(method, context, &id), unknown = ret == BERTH_RET_INVALID_ARGUMENT;
    struct stub_request *request = ret == BERTH_RET_OK ? malloc(sizeof *request) : NULL;
    if (request) {
        *request = (struct stub_request){context, cb, ud};
        ret = berth_submit(context->berth, id, data, len, on_answer, request, NULL);
    } else if (ret == BERTH_RET_OK) {
        ret = BERTH_RET_EXHAUSTED;
    }
    if (ret == BERTH_RET_OK)
        return STUB_RET_OK;
    free(request);
    stub_context_give(context);
    return unknown ? refuse_method(method, cb, ud) : stub_refuse(cb, ud, ret);
}

int stub_call(struct stub_method *method, void *ctx, FFICallback cb, void *ud, const void *data, size_t len) {
    if (!cb)
        return STUB_RET_MISSING_CALLBACK;
    struct stub_context *context = stub_context_take(ctx);
    if (!context)
        return stub_refuse(cb, ud, stub_forked() ? BERTH_RET_FORKED : BERTH_RET_INVALID_CTX);
    return submit(method, context, cb, ud, data, len);
}
