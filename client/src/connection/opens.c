#include "connection/opens.h"

#include <errno.h>
#include <string.h>

#include "channel/submit.h"
#include "connection/asks.h"
#include "connection/home.h"
#include "delivery/reply_thread.h"
#include "status.h"
#include "utf8.h"

#define MODULE_NAME_MOST 255

int opens_check(const struct opening *opening) {
    const struct berth_open_options *options = opening->options;
    size_t len = opening->module ? strlen(opening->module) : 0;
    if (!len || len > MODULE_NAME_MOST || !berth_utf8_valid((const uint8_t *)opening->module, len) ||
        (!opening->config && opening->config_len))
        return BERTH_RET_INVALID_ARGUMENT;
    if (options && (options->size != sizeof *options || options->max_in_flight > BERTH_MAX_IN_FLIGHT ||
                    (options->flags & ~BERTH_RESTART)))
        return BERTH_RET_INVALID_ARGUMENT;
    return opening->config_len > BERTH_MAX_PAYLOAD ? BERTH_RET_TOO_LARGE : BERTH_RET_OK;
}

const char *opens_refusal_text(int ret) {
    switch (ret) {
    case BERTH_RET_INVALID_ARGUMENT:
        return "berth_open: module (UTF-8, 1 to 255 bytes), options or out cannot be";
    case BERTH_RET_TOO_LARGE:
        return "berth_open: the configuration is larger than 16 MiB";
    case BERTH_RET_UNAVAILABLE:
        return BERTH_TEXT_SUPERVISOR_GONE;
    case BERTH_RET_INVALID_CTX:
        return "no such client";
    case BERTH_RET_FORKED:
        return "called in a child of the process that connected";
    default:
        return "no memory, descriptors or handles for another context";
    }
}

static const char *segment_text(int rc) {
    switch (-rc) {
    case EFBIG:
        return "the process's RLIMIT_FSIZE does not allow a segment of 193 MiB";
    case EAGAIN:
        return "the process locks its memory (mlockall), and RLIMIT_MEMLOCK does not allow a segment of 193 MiB";
    case EMFILE:
    case ENFILE:
        return "no descriptor left for another context";
    default:
        return opens_refusal_text(BERTH_RET_EXHAUSTED);
    }
}

/* Before the supervisor hears of the open: a refusal ends the context, and with it every thread that could be started.
 * The thread is to find at once what it waits for. */
static int expect_callback(struct context *context, const struct request_options *create) {
    if (!(REQUEST_KIND(create->kind) & REQUEST_CALLS_BACK))
        return 0;
    outbox_owe(&context->channel.outbox, 1);
    return reply_thread_need(&context->delivery) == 0 ? 0 : BERTH_RET_EXHAUSTED;
}

static int write_create(struct context *context, const struct opening *opening, struct request **request) {
    int ret = expect_callback(context, opening->create);
    if (ret == 0)
        ret = channel_submit(&context->channel, BERTH_FRAME_CREATE, 0, opening->config, opening->config_len,
                             opening->create, request, NULL);
    bound_set(&context->lease.bounds, BOUND_OPEN, lease_open_deadline(&context->lease));
    return ret;
}

static int fill(struct context *context, const struct opening *opening, struct request **request) {
    const struct berth_open_options *options = opening->options;
    context->seat.module = strdup(opening->module);
    if (!context->seat.module)
        return BERTH_RET_EXHAUSTED;
    if (options && (options->flags & BERTH_RESTART) &&
        lease_keep_config(&context->lease, opening->config, opening->config_len) != 0)
        return BERTH_RET_EXHAUSTED;
    if (opening->create)
        return write_create(context, opening, request);
    lease_created(&context->lease);
    return BERTH_RET_OK;
}

/* 0: the connection is being closed, and takes no more. */
static int begin_open(struct client *client) {
    pthread_mutex_lock(&client->lock);
    int accepted = !client->closing;
    client->opens_under_way += (uint32_t)accepted;
    pthread_mutex_unlock(&client->lock);
    return accepted;
}

/* It is not listed, and never will be. */
static void open_failed(struct client *client) {
    pthread_mutex_lock(&client->lock);
    client->opens_under_way--;
    pthread_mutex_unlock(&client->lock);
    eventcount_advance(&client->changed);
}

int opens_make(struct client *client, const struct opening *opening, struct context **out, struct request **request,
               const char **why) {
    if (client_is_disconnected(client) && !client->service.path) {
        *why = BERTH_TEXT_SUPERVISOR_GONE;
        return BERTH_RET_UNAVAILABLE;
    }
    if (!begin_open(client)) {
        *why = opens_refusal_text(BERTH_RET_INVALID_CTX);
        return BERTH_RET_INVALID_CTX;
    }
    client_retain(client);
    int rc = context_new(client, &connection_home, &client->alarm, &client->callback_pool, &client->spare,
                         opening->options, out);
    if (rc) {
        open_failed(client);
        client_release(client);
        *why = segment_text(rc);
        return BERTH_RET_EXHAUSTED;
    }
    context_retain(*out);
    int ret = fill(*out, opening, request);
    if (ret == BERTH_RET_OK)
        return BERTH_RET_OK;
    *why = opens_refusal_text(ret);
    /* A thread that runs callbacks may have been started for it. */
    asks_list(*out);
    context_end_text(*out, (uint32_t)ret, *why);
    context_release(*out);
    *out = NULL;
    return ret;
}
