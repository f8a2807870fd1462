/* Listeners, and events on their way to them. */
#include <stdlib.h>

#include "context.h"
#include "kill_point.h"

static int matches(const struct listener *listener, const uint8_t *name, size_t name_len) {
    return listener->name_len == name_len && memcmp(listener->name, name, name_len) == 0;
}

/* The first listener of that name with an id over out->id, copied to *out. *last is 0 at first: one that is added while
 * the event is on its way through the listeners, maybe because of it, does not get it. */
static int next_listener(struct context *context, const uint8_t *name, size_t name_len, uint64_t *last,
                         struct listener *out) {
    int found = 0;
    uint64_t after = out->id;
    pthread_mutex_lock(&context->listen_lock);
    if (*last == 0)
        *last = context->next_listener;
    for (struct listener *listener = context->listeners; listener && !found; listener = listener->next) {
        if (listener->id > after && listener->id <= *last && matches(listener, name, name_len)) {
            *out = *listener;
            found = 1;
            if (listener->callback)
                context->running_listener = listener->id;
        }
    }
    pthread_mutex_unlock(&context->listen_lock);
    return found;
}

static void listener_ran(struct context *context) {
    pthread_mutex_lock(&context->listen_lock);
    context->running_listener = 0;
    pthread_cond_broadcast(&context->listen_idle);
    pthread_mutex_unlock(&context->listen_lock);
}

/* On the event thread: the payload is private by now and no lock is held. */
static void dispatch(struct context *context, const uint8_t *name, size_t name_len, const uint8_t *data, size_t len) {
    struct listener listener = {0};
    uint64_t last = 0;
    while (next_listener(context, name, name_len, &last, &listener)) {
        if (listener.callback) {
            BERTH_KILL_POINT("host.before_listener");
            listener.callback(BERTH_RET_OK, data, len, listener.user_data);
            BERTH_KILL_POINT("host.after_listener");
            listener_ran(context);
        } else if (__atomic_load_n(&context->for_reap.count, __ATOMIC_RELAXED) < REAP_EVENTS_MOST) {
            context_complete(context, BERTH_EVENT, listener.id, BERTH_RET_OK, NULL, listener.user_data, data, len);
        }
    }
}

static int fan_out(struct context *context, struct reap_sink *sink, const uint8_t *name, size_t name_len,
                   const uint8_t *data, size_t len) {
    struct listener listener = {0};
    size_t count = sink->count, arena_used = sink->arena_used;
    uint64_t last = 0;
    while (next_listener(context, name, name_len, &last, &listener)) {
        if (!reap_sink_put(context, sink, BERTH_EVENT, listener.id, BERTH_RET_OK, listener.user_data, data, len)) {
            /* No room for all of its listeners: none gets it now, each gets it in the next batch. */
            sink->count = count;
            sink->arena_used = arena_used;
            return 0;
        }
    }
    return 1;
}

static int broken(struct context *context) {
    static const char text[] = "the worker sent an event that cannot be";
    context_fail(context, BERTH_RET_PROTOCOL, text, sizeof text - 1);
    return 0;
}

/* What the worker dropped since it was last told of, now that there is room again. */
static void tell_losses(struct context *context) {
    const struct berth_segment_header *header = context->segment.header;
    uint64_t dropped = __atomic_load_n(&header->events_dropped, __ATOMIC_RELAXED);
    if (dropped > context->dropped_told)
        context_notice_count(context, "event_overflow", "count", dropped - context->dropped_told);
    context->dropped_told = dropped;
    if (__atomic_load_n(&header->events_stuck, __ATOMIC_RELAXED) && !context->stuck_told) {
        context->stuck_told = 1;
        context_notice_cause(context, "events", 0);
    }
}

static void took_event(struct context *context) {
    berth_ring_advance(&context->event_ring);
    __atomic_store_n(&context->segment.header->events_taken, ++context->events_taken, __ATOMIC_RELAXED);
    tell_losses(context);
}

/* With event_lock. 1 with a private copy of the next event, 0 for none. */
static int copy_event(struct context *context, struct berth_frame_header *header, uint8_t **copy) {
    const uint8_t *payload;
    int rc = berth_ring_peek(&context->event_ring, header, &payload);
    if (rc == 0)
        return 0;
    if (rc < 0 || header->kind != BERTH_FRAME_EVENT || header->code > header->size || header->code > 255)
        return broken(context);
    *copy = malloc(header->size + 1);
    if (!*copy)
        return 0;
    memcpy(*copy, payload, header->size);
    (*copy)[header->size] = 0;
    return 1;
}

int context_take_event(struct context *context, struct reap_sink *sink) {
    struct berth_frame_header header;
    uint8_t *copy = NULL;
    if (!sink)
        pthread_mutex_lock(&context->event_lock);
    int took = copy_event(context, &header, &copy);
    if (took && sink)
        took = fan_out(context, sink, copy, header.code, copy + header.code, header.size - header.code);
    if (took) {
        BERTH_KILL_POINT("host.event_copied");
        took_event(context);
        BERTH_KILL_POINT("host.event_released");
    }
    if (!sink)
        pthread_mutex_unlock(&context->event_lock);
    if (took && !sink)
        dispatch(context, copy, header.code, copy + header.code, header.size - header.code);
    free(copy);
    return took;
}

static int named(const struct listener *listener, const char *name) {
    return matches(listener, (const uint8_t *)name, strlen(name));
}

/* With listen_lock. */
static void listeners_changed(struct context *context) {
    uint32_t liveness = 0;
    for (struct listener *listener = context->listeners; listener; listener = listener->next)
        liveness |= named(listener, "not_responding") || named(listener, "responding");
    __atomic_store_n(&context->liveness_wanted, liveness, __ATOMIC_RELEASE);
    __atomic_store_n(&context->segment.header->events_wanted, context->listeners != NULL, __ATOMIC_RELEASE);
}

void context_tell_events_wanted(struct context *context) {
    pthread_mutex_lock(&context->listen_lock);
    listeners_changed(context);
    pthread_mutex_unlock(&context->listen_lock);
}

void listener_run(struct context *context, uint64_t id, const uint8_t *data, size_t len) {
    struct listener found = {0};
    pthread_mutex_lock(&context->listen_lock);
    for (struct listener *listener = context->listeners; listener; listener = listener->next)
        if (listener->id == id)
            found = *listener;
    if (found.callback)
        context->running_listener = id;
    pthread_mutex_unlock(&context->listen_lock);
    if (!found.callback)
        return;
    found.callback(BERTH_RET_OK, data, len, found.user_data);
    listener_ran(context);
}

static struct listener *listener_new(const char *event, berth_callback callback, void *user_data) {
    size_t len = strlen(event);
    struct listener *listener = calloc(1, sizeof *listener + len + 1);
    if (!listener)
        return NULL;
    listener->name = (char *)(listener + 1);
    memcpy(listener->name, event, len);
    listener->name_len = len;
    listener->callback = callback;
    listener->user_data = user_data;
    return listener;
}

static int listen_on(struct context *context, const char *event, berth_callback callback, void *user_data,
                     uint64_t *out_listener) {
    uint32_t state = context_state(context);
    if (state == CONTEXT_RECYCLE_PENDING || state == CONTEXT_RECYCLING || state == CONTEXT_CLOSED)
        return BERTH_RET_RECYCLED;
    struct listener *listener = listener_new(event, callback, user_data);
    if (!listener)
        return BERTH_RET_ERR;
    if (callback && event_thread_need(context) != 0) {
        free(listener);
        return BERTH_RET_ERR;
    }
    pthread_mutex_lock(&context->listen_lock);
    listener->id = ++context->next_listener;
    *out_listener = listener->id;
    struct listener **end = &context->listeners;
    while (*end)
        end = &(*end)->next;
    *end = listener;
    listeners_changed(context);
    pthread_mutex_unlock(&context->listen_lock);
    context_watch(context); /* something may be in flight */
    /* Whoever polls went to sleep without an eye on the event ring, if this is the first listener. */
    if (!callback)
        reap_signal(context);
    return 0;
}

int berth_listen(berth_context handle, const char *event, berth_callback callback, void *user_data,
                 uint64_t *out_listener) {
    int why;
    uint64_t ignored;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return why;
    int ret = BERTH_RET_INVALID_ARGUMENT;
    if (event && *event && strlen(event) <= 255)
        ret = listen_on(context, event, callback, user_data, out_listener ? out_listener : &ignored);
    context_release(context);
    return ret;
}

static struct listener *unlink_listener(struct context *context, uint64_t id) {
    struct listener **at = &context->listeners;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct listener *found = *at;
    if (found)
        *at = found->next;
    return found;
}

int berth_unlisten(berth_context handle, uint64_t id) {
    int why;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return why;
    int inside = event_thread_is_current(context);
    pthread_mutex_lock(&context->listen_lock);
    struct listener *listener = unlink_listener(context, id);
    listeners_changed(context);
    while (listener && !inside && context->running_listener == id)
        pthread_cond_wait(&context->listen_idle, &context->listen_lock);
    pthread_mutex_unlock(&context->listen_lock);
    free(listener);
    context_release(context);
    return listener ? BERTH_RET_OK : BERTH_RET_INVALID_ARGUMENT;
}

void listeners_free(struct context *context) {
    while (context->listeners) {
        struct listener *listener = context->listeners;
        context->listeners = listener->next;
        free(listener);
    }
}
