#include <string.h>

#include "base/clock.h"
#include "base/reply.h"
#include "channel/submit.h"
#include "channel/urgent.h"
#include "channel/wait.h"
#include "connection/asks.h"
#include "connection/opens.h"
#include "kill_point.h"
#include "status.h"

/* The deadline has passed. 1: the answer came in the same moment and stands. */
static int abandon(struct context *context, struct request *request) {
    uint64_t id = request_id(request), word;
    if (!request_claim(request, (uint32_t)(id >> 32), REQUEST_BLOCKS, &word))
        return 1;
    BERTH_DELAY_POINT("host.deadline_claimed");
    request_move(request, REQUEST_ABANDONED);
    channel_send_cancel(&context->channel, request, id);
    return 0;
}

static int call(struct context *context, uint32_t method, const void *data, size_t len, uint64_t deadline_ns,
                struct berth_reply *reply) {
    struct request *request;
    struct request_options options = {.kind = REQUEST_BLOCKING, .reply = reply};
    int ret = channel_submit(&context->channel, BERTH_FRAME_REQUEST, method, data, len, &options, &request, NULL);
    if (ret) {
        context_refuse(context, ret, reply);
        return ret;
    }
    if (!channel_wait(&context->channel, request, deadline_ns) && !abandon(context, request))
        return reply_text(reply, BERTH_RET_TIMEOUT, BERTH_TEXT_TIMEOUT);
    ret = reply->ret;
    BERTH_DELAY_POINT("host.answer_mine");
    slots_free(&context->channel.slots, request);
    return ret;
}

int berth_call(berth_context handle, uint32_t method, const void *data, size_t len, int timeout_ms,
               struct berth_reply *reply) {
    int ret;
    if (!reply || (!data && len))
        return reply ? reply_text(reply, BERTH_RET_INVALID_ARGUMENT, "data is NULL") : BERTH_RET_INVALID_ARGUMENT;
    struct context *context = context_acquire(handle, &ret);
    if (!context)
        return reply_text(reply, ret, context_refusal_text(ret));
    ret = call(context, method, data, len, clock_deadline(timeout_ms), reply);
    context_release(context);
    return ret;
}

static int call_static(struct client *client, const struct opening *opening, uint32_t method, int timeout_ms,
                       struct berth_reply *reply) {
    uint64_t deadline_ns = clock_deadline(timeout_ms); /* the asking counts, too */
    /* A worker that comes later is not wanted any more; our own deadline comes first. */
    struct berth_open_options options = {.size = sizeof options,
                                         .open_timeout_ms = timeout_ms < 0 ? 0 : (uint32_t)timeout_ms + OPEN_SLACK_MS};
    struct opening without = {.module = opening->module, .options = &options};
    struct context *context;
    const char *text;
    int ret = opens_make(client, &without, &context, NULL, &text);
    if (ret)
        return reply_text(reply, ret, text);
    asks_first(context);
    ret = call(context, method, opening->config, opening->config_len, deadline_ns, reply);
    context_close_quietly(context, ret == BERTH_RET_TIMEOUT);
    context_release(context);
    return ret;
}

int berth_call_static(berth_client handle, const char *module, const char *method, const void *data, size_t len,
                      int timeout_ms, struct berth_reply *reply) {
    struct opening opening = {.module = module, .config = data, .config_len = len};
    int ret = method ? opens_check(&opening) : BERTH_RET_INVALID_ARGUMENT;
    if (!reply)
        return BERTH_RET_INVALID_ARGUMENT;
    memset(reply, 0, sizeof *reply);
    if (ret)
        return reply_text(reply, ret, opens_refusal_text(ret));
    struct client *client = client_acquire(handle);
    if (!client) {
        ret = handle_refusal(&berth_clients, handle.bits);
        return reply_text(reply, ret, opens_refusal_text(ret));
    }
    ret = call_static(client, &opening, berth_method_id(method, strlen(method)), timeout_ms, reply);
    client_release(client);
    return ret;
}
