#include "context/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/raw_io.h"
#include "base/reply.h"
#include "channel/baton.h"
#include "channel/drain.h"
#include "channel/settle.h"
#include "delivery/callback_threads.h"
#include "status.h"

#define OPEN_TIMEOUT_MS 60000u
#define READ_MOST 16 /* batches of context_read */

static void seat_deinit(struct seat *seat) {
    raw_close(seat->segment_fd);
    free(seat->methods);
    free(seat->module);
}

static void context_free(struct context *context) {
    uint64_t handle = context->handle;
    delivery_deinit(&context->delivery);
    lease_deinit(&context->lease);
    channel_deinit(&context->channel);
    seat_deinit(&context->seat);
    free(context);
    if (handle)
        handle_free_slot(&berth_contexts, handle);
}

void context_release(struct context *context) {
    struct client *client = context->client;
    const struct context_home *home = context->home;
    if (!handle_release(&berth_contexts, context->handle))
        return;
    context_free(context);
    home->release(client);
}

static int init(struct context *context, struct channel_spare *spare, const struct berth_open_options *options) {
    uint32_t in_flight = options->max_in_flight ? options->max_in_flight : BERTH_DEFAULT_IN_FLIGHT;
    context->stale_warn_ms = options->stale_warn_ms ? options->stale_warn_ms : BERTH_STALE_WARN_MS;
    int rc = channel_init(&context->channel, in_flight, (options->flags & BERTH_RESTART) != 0, &context_news, context,
                          spare, &context->seat.segment_fd);
    lease_init(&context->lease, &context->channel,
               options->open_timeout_ms ? options->open_timeout_ms : OPEN_TIMEOUT_MS);
    return rc;
}

int context_new(struct client *client, const struct context_home *home, struct alarm *alarm, struct callback_pool *pool,
                struct channel_spare *spare, const struct berth_open_options *options, struct context **out) {
    static const struct berth_open_options defaults;
    struct context *context = aligned_alloc(128, (sizeof *context + 127) & ~(size_t)127);
    *out = NULL;
    if (!context)
        return -ENOMEM;
    memset(context, 0, sizeof *context);
    context->client = client;
    context->home = home;
    context->due.alarm = alarm;
    int rc = init(context, spare, options ? options : &defaults);
    if (rc == 0) {
        delivery_init(&context->delivery, &context->channel, pool, &context->due);
        context->handle = handle_new(&berth_contexts, context);
        rc = context->handle ? 0 : -ENOMEM;
    }
    if (rc == 0)
        *out = context;
    else
        context_free(context);
    return rc;
}

void context_end(struct context *context, uint32_t ret, const void *data, size_t len) {
    if (!lease_end(&context->lease, ret, data, len))
        return;
    event_thread_wake(&context->delivery);
    channel_settle_now(&context->channel);
}

void context_end_text(struct context *context, uint32_t ret, const char *text) {
    context_end(context, ret, text, strlen(text));
}

int context_read_last(struct context *context) {
    if (!baton_take(&context->channel))
        return 0;
    channel_drain_last(&context->channel);
    channel_leave(&context->channel);
    return 1;
}

int context_read(struct context *context) {
    struct channel *channel = &context->channel;
    if (!baton_take(channel))
        return 0; /* its holder reads what there is, or arms the ring again */
    int left = READ_MOST;
    while (left && channel_drain(channel, NULL, NULL, DRAIN_BATCH) == DRAIN_BATCH)
        left--;
    channel_leave(channel);
    return 1;
}

void context_over(struct context *context) {
    pthread_mutex_lock(&context->channel.submit_lock);
    lease_move(&context->lease, LEASE_REAPED);
    pthread_mutex_unlock(&context->channel.submit_lock);
    handle_end(&berth_contexts, context->handle);
    callback_threads_stop(&context->delivery);
}

int context_is_quiet(struct context *context) {
    return lease_state(&context->lease) == LEASE_OVER && verdict_is_settled(&context->channel.verdict) &&
           callback_threads_are_gone(&context->delivery);
}

int context_wait_opened(struct context *context) {
    struct lease *lease = &context->lease;
    uint64_t deadline_ns = lease_open_deadline(lease);
    for (;;) {
        uint32_t key = eventcount_key(&lease->changed);
        if (lease_has(lease, LEASE_HAS_WORKER))
            return 1;
        if (verdict_is_given(&context->channel.verdict) || clock_passed(deadline_ns))
            return 0;
        eventcount_wait(&lease->changed, key, deadline_ns);
    }
}

const char *context_refusal_text(int ret) {
    switch (ret) {
    case BERTH_RET_RECYCLED:
        return BERTH_TEXT_NOT_ACCEPTING;
    case BERTH_RET_TOO_LARGE:
        return BERTH_TEXT_REQUEST_TOO_LARGE;
    case BERTH_RET_QUEUE_FULL:
        return "the request ring is full";
    case BERTH_RET_BUSY:
        return "too many requests in flight";
    case BERTH_RET_INVALID_CTX:
        return "no such context";
    case BERTH_RET_FORKED:
        return "called in a child of the process that opened the context";
    case BERTH_RET_INVALID_ARGUMENT:
        return "an argument cannot be";
    default:
        return "the context is gone";
    }
}

int context_tell_verdict(struct context *context, struct berth_reply *reply) {
    const struct verdict *verdict = &context->channel.verdict;
    pthread_mutex_lock(&context->channel.submit_lock);
    int given = verdict_is_given(verdict), ret = (int)verdict_ret(verdict);
    if (given && verdict->len)
        reply_set(reply, ret, verdict->data, verdict->len);
    else if (given)
        reply_text(reply, ret, context_refusal_text(ret));
    pthread_mutex_unlock(&context->channel.submit_lock);
    return given;
}

void context_refuse(struct context *context, int ret, struct berth_reply *reply) {
    struct verdict *verdict = &context->channel.verdict;
    uint32_t state = lease_state(&context->lease);
    int closing = state == LEASE_CLOSING || state == LEASE_RECYCLING || state == LEASE_CLOSED || state == LEASE_OVER;
    pthread_mutex_lock(&context->channel.submit_lock); /* a restart takes the verdict away */
    int told = verdict_is_given(verdict) && ret == (int)verdict_ret(verdict) && !closing && verdict->len;
    if (told)
        reply_set(reply, ret, verdict->data, verdict->len);
    pthread_mutex_unlock(&context->channel.submit_lock);
    if (!told)
        reply_text(reply, ret, context_refusal_text(ret));
}
