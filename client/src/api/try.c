#include "api/submitted.h"
#include "base/reply.h"
#include "channel/baton.h"
#include "channel/settle.h"
#include "channel/submit.h"
#include "channel/wait.h"

/* A blocking request that nobody waits for any more becomes one for berth_reap. 0: it has its answer already. */
static int leave_to_reap(struct context *context, struct request *request, const struct request_options *as) {
    uint64_t word;
    if (!request_claim(request, request_generation_of(request_load(request)), REQUEST_KIND(REQUEST_BLOCKING), &word))
        return 0;
    request->options = *as;
    request_leave(request, REQUEST_POLL, REQUEST_PENDING);
    submitted_arm_pings(context, as);
    delivery_watch(&context->delivery);
    return 1;
}

static int submit_and_leave(struct context *context, uint32_t method, const void *data, size_t len,
                            const struct request_options *options, uint64_t *out_id, struct berth_reply *reply) {
    struct request *request;
    int ret = channel_submit(&context->channel, BERTH_FRAME_REQUEST, method, data, len, options, &request, out_id);
    if (ret) {
        context_refuse(context, ret, reply);
        return ret;
    }
    submitted_arm_pings(context, options);
    delivery_watch(&context->delivery);
    return reply_text(reply, BERTH_RET_STALE_WARN, "");
}

/* The baton comes first: with it the ring is not armed for a poller, so that a quick answer costs no wakeup. */
static int try_call(struct context *context, uint32_t method, const void *data, size_t len, uint32_t wait_us,
                    const struct request_options *later, uint64_t *out_id, struct berth_reply *reply) {
    struct channel *channel = &context->channel;
    struct request *request;
    struct request_options now = {.kind = REQUEST_BLOCKING, .reply = reply};
    int leads = baton_take(channel);
    int ret = channel_submit(channel, BERTH_FRAME_REQUEST, method, data, len, &now, &request, out_id);
    if (leads && ret == BERTH_RET_BUSY) { /* late answers are read with the baton */
        channel_leave(channel);
        leads = 0;
        ret = channel_submit(channel, BERTH_FRAME_REQUEST, method, data, len, &now, &request, out_id);
    }
    uint64_t deadline_ns = ret ? 0 : berth_now_ns() + (uint64_t)wait_us * 1000u;
    if (leads && ret)
        channel_leave(channel);
    else if (leads)
        channel_lead(channel, request, deadline_ns);
    if (ret) {
        context_refuse(context, ret, reply);
        return ret;
    }
    if (!channel_wait(channel, request, deadline_ns) && leave_to_reap(context, request, later))
        return reply_text(reply, BERTH_RET_STALE_WARN, "");
    ret = reply->ret;
    slots_free(&channel->slots, request);
    return ret;
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
    struct request_options later = submitted_options(context, user_data);
    out_id = out_id ? out_id : &ignored;
    ret = wait_us ? try_call(context, method, data, len, wait_us, &later, out_id, reply)
                  : submit_and_leave(context, method, data, len, &later, out_id, reply);
    context_release(context);
    return ret;
}
