/* What a context says of itself: events by berth's own names, for listeners like any other. They do not pass the event
 * ring, so they come also when the worker is stuck, stopped or dead. */
#include <stdlib.h>

#include "cbor_map.h"
#include "context.h"

/* With listen_lock. */
static void queue_for(struct context *context, const struct listener *listener, const uint8_t *data, size_t len) {
    struct completion *completion = completion_new(BERTH_NOTICE, listener->id, BERTH_RET_OK, listener->callback,
                                                   listener->user_data, data, len);
    if (!completion)
        return; /* no memory: the next one may get through */
    if (listener->callback) {
        completion_push(context, &context->for_events, completion);
    } else {
        completion_push(context, &context->for_reap, completion);
        reap_signal(context);
    }
}

void context_notice(struct context *context, const char *name, const uint8_t *data, size_t len) {
    size_t name_len = strlen(name);
    pthread_mutex_lock(&context->listen_lock);
    for (struct listener *listener = context->listeners; listener; listener = listener->next)
        if (listener->name_len == name_len && memcmp(listener->name, name, name_len) == 0)
            queue_for(context, listener, data, len);
    pthread_mutex_unlock(&context->listen_lock);
    event_thread_wake(context);
}

void context_notice_count(struct context *context, const char *name, const char *key, uint64_t number) {
    uint8_t payload[128];
    size_t at = cbor_encode_map_start(1, payload, sizeof payload);
    context_notice(context, name, payload, cbor_map_put_number(payload, at, sizeof payload, key, number));
}

void context_notice_cause(struct context *context, const char *cause, uint64_t ms) {
    uint8_t payload[128];
    size_t at = cbor_encode_map_start(2, payload, sizeof payload);
    at = cbor_map_put_text(payload, at, sizeof payload, "cause", cause, strlen(cause));
    context_notice(context, "not_responding", payload, cbor_map_put_number(payload, at, sizeof payload, "ms", ms));
}

int context_run_notices(struct context *context) {
    int ran = 0;
    for (struct completion *notice; (notice = completion_pop(context, &context->for_events)); ran++) {
        listener_run(context, notice->id, notice->data, notice->len);
        free(notice);
    }
    return ran;
}
