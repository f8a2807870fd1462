#include "connection/asks.h"
#include "connection/opens.h"

#include <string.h>

#include "base/reply.h"
#include "channel/slots.h"
#include "channel/wait.h"

static int refuse(struct berth_reply *why, int ret, const char *text) {
    if (why)
        reply_text(why, ret, text);
    return ret;
}

/* Create's answer came, and no word of which worker gave it: what ended the context says why, or the supervisor died.
 * Nobody waits for that worker. */
static int lost_while_opening(struct context *context, struct berth_reply *reply) {
    reply_free(reply);
    if (!context_tell_verdict(context, reply))
        reply_text(reply, BERTH_RET_UNAVAILABLE, "the supervisor died while the context was opened");
    context_close_unattended(context);
    return reply->ret;
}

/* Until the open's answer is in `own`. */
static int await_open(struct context *context, struct request *request, struct berth_reply *own) {
    uint64_t deadline_ns = bound_at(&context->lease.bounds, BOUND_OPEN);
    if (!channel_wait(&context->channel, request, deadline_ns)) {
        context_open_is_late(context);
        channel_wait(&context->channel, request, 0);
    }
    slots_free(&context->channel.slots, request);
    if (own->ret == BERTH_RET_OK && !context_wait_opened(context))
        return lost_while_opening(context, own);
    return own->ret;
}

static int open_and_wait(struct client *client, struct opening *opening, berth_context *out, struct berth_reply *why) {
    struct berth_reply own = {0};
    struct request_options create = {.kind = REQUEST_CREATE_BLOCKING, .reply = &own};
    struct context *context;
    struct request *request;
    const char *text;
    opening->create = &create;
    int ret = opens_make(client, opening, &context, &request, &text);
    if (ret)
        return refuse(why, ret, text);
    asks_first(context);
    ret = await_open(context, request, &own);
    out->bits = ret == BERTH_RET_OK ? context->handle : 0;
    if (why)
        reply_set(why, ret, own.data, own.len);
    reply_free(&own);
    context_release(context);
    return ret;
}

int berth_open(berth_client handle, const char *module, const void *config, size_t config_len,
               const struct berth_open_options *options, berth_context *out, struct berth_reply *why) {
    struct opening opening = {.module = module, .config = config, .config_len = config_len, .options = options};
    int ret = out ? opens_check(&opening) : BERTH_RET_INVALID_ARGUMENT;
    if (why)
        memset(why, 0, sizeof *why);
    if (ret)
        return refuse(why, ret, opens_refusal_text(ret));
    struct client *client = client_acquire(handle);
    if (!client) {
        ret = handle_refusal(&berth_clients, handle.bits);
        return refuse(why, ret, opens_refusal_text(ret));
    }
    ret = open_and_wait(client, &opening, out, why);
    client_release(client);
    return ret;
}

int berth_open_submit(berth_client handle, const char *module, const void *config, size_t config_len,
                      const struct berth_open_options *options, berth_callback done, void *user_data,
                      berth_context *out) {
    struct request_options create = {.kind = REQUEST_CREATE_CALLBACK, .callback = done, .user_data = user_data};
    struct opening opening = {module, config, config_len, options, &create};
    struct context *context;
    struct request *request;
    const char *text;
    if (!done)
        return BERTH_RET_MISSING_CALLBACK;
    int ret = out ? opens_check(&opening) : BERTH_RET_INVALID_ARGUMENT;
    if (ret)
        return ret;
    struct client *client = client_acquire(handle);
    if (!client)
        return handle_refusal(&berth_clients, handle.bits);
    ret = opens_make(client, &opening, &context, &request, &text);
    if (ret == BERTH_RET_OK) {
        out->bits = context->handle; /* before anybody can answer: `done` may give its memory back */
        due_arm(&context->due, bound_at(&context->lease.bounds, BOUND_OPEN));
        asks_first(context);
        context_release(context);
    }
    client_release(client);
    return ret;
}
