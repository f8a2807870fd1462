#include "api/submitted.h"

#include "channel/submit.h"
#include "delivery/reply_thread.h"
#include "kill_point.h"

static int submit(struct context *context, uint32_t method, const void *data, size_t len,
                  const struct request_options *options, uint64_t *out_id) {
    struct request *request;
    int ret = channel_submit(&context->channel, BERTH_FRAME_REQUEST, method, data, len, options, &request, out_id);
    BERTH_DELAY_POINT("host.submitted");
    if (ret == BERTH_RET_OK) {
        submitted_arm_pings(context, options);
        delivery_watch(&context->delivery);
    }
    return ret;
}

static int submit_callback(struct context *context, uint32_t method, const void *data, size_t len,
                           struct request_options *options, berth_callback callback, uint64_t *out_id) {
    struct outbox *outbox = &context->channel.outbox;
    options->kind = REQUEST_CALLBACK;
    options->callback = callback;
    if (reply_thread_need(&context->delivery) != 0)
        return BERTH_RET_EXHAUSTED;
    outbox_owe(outbox, 1);
    int ret = submit(context, method, data, len, options, out_id);
    if (ret)
        outbox_owe(outbox, -1);
    else
        parker_unpark(&outbox->reader);
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
    struct request_options options = submitted_options(context, user_data);
    out_id = out_id ? out_id : &ignored;
    ret = callback ? submit_callback(context, method, data, len, &options, callback, out_id)
                   : submit(context, method, data, len, &options, out_id);
    context_release(context);
    return ret;
}
