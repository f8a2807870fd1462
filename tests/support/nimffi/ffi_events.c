#include "ffi_context.h"

#include <stdlib.h>
#include <string.h>

static uint64_t add(struct ffi_context *context, const char *event, FFICallback cb, void *ud) {
    struct ffi_listener *listener = calloc(1, sizeof *listener + strlen(event) + 1);
    listener->cb = cb;
    listener->ud = ud;
    strcpy(listener->name, event);
    pthread_mutex_lock(&context->lock);
    uint64_t id = listener->id = ++context->next_listener;
    struct ffi_listener **at = &context->listeners;
    while (*at)
        at = &(*at)->next;
    *at = listener;
    pthread_mutex_unlock(&context->lock);
    return id;
}

uint64_t ffi_add_listener(void *ctx, const char *event, FFICallback cb, void *ud) {
    return event && cb && ffi_valid(ctx) ? add(ctx, event, cb, ud) : 0;
}

int ffi_remove_listener(void *ctx, uint64_t id) {
    struct ffi_context *context = ctx;
    if (!ffi_valid(ctx))
        return RET_ERR;
    pthread_mutex_lock(&context->lock);
    struct ffi_listener **at = &context->listeners;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct ffi_listener *found = *at;
    if (found)
        *at = found->next;
    pthread_mutex_unlock(&context->lock);
    free(found);
    return found ? RET_OK : RET_ERR;
}

void ffi_set_event_callback(void *ctx, FFICallback cb, void *ud) {
    struct ffi_context *context = ctx;
    if (!ffi_valid(ctx))
        return;
    pthread_mutex_lock(&context->lock);
    ffi_events_clear(context);
    pthread_mutex_unlock(&context->lock);
    if (cb)
        add(context, "", cb, ud);
}

void ffi_emit(struct ffi_context *context, const char *name, const void *data, size_t len) {
    struct ffi_event *event = malloc(sizeof *event + len);
    event->next = NULL;
    event->name = strdup(name);
    event->len = len;
    memcpy(event->data, data, len);
    pthread_mutex_lock(&context->lock);
    bool room = context->event_count < NIMFFI_EVENT_QUEUE;
    context->events_stuck = context->events_stuck || !room;
    if (room) {
        *context->events_end = event;
        context->events_end = &event->next;
        context->event_count++;
        pthread_cond_signal(&context->event_work);
    }
    pthread_mutex_unlock(&context->lock);
    if (!room) {
        free(event->name);
        free(event);
    }
}

/* The first listener for the event with an id above `after`. With the lock. */
static const struct ffi_listener *listener_after(const struct ffi_context *context, const char *name, uint64_t after) {
    for (const struct ffi_listener *at = context->listeners; at; at = at->next)
        if (at->id > after && (!at->name[0] || strcmp(at->name, name) == 0))
            return at;
    return NULL;
}

/* Looks each listener up anew, so that one may remove itself or another. */
static void deliver(struct ffi_context *context, const struct ffi_event *event) {
    const struct ffi_listener *listener;
    uint64_t after = 0;
    pthread_mutex_lock(&context->lock);
    while ((listener = listener_after(context, event->name, after))) {
        FFICallback cb = listener->cb;
        void *ud = listener->ud;
        after = listener->id;
        pthread_mutex_unlock(&context->lock);
        cb(RET_OK, (const char *)event->data, event->len, ud);
        pthread_mutex_lock(&context->lock);
    }
    pthread_mutex_unlock(&context->lock);
}

static struct ffi_event *next_event(struct ffi_context *context) {
    pthread_mutex_lock(&context->lock);
    while (!context->events && !context->events_stop)
        pthread_cond_wait(&context->event_work, &context->lock);
    struct ffi_event *event = context->events;
    if (event) {
        context->events = event->next;
        if (!context->events)
            context->events_end = &context->events;
        context->event_count--;
    }
    pthread_mutex_unlock(&context->lock);
    return event;
}

/* Delivers what was emitted before the stop, too. */
void *ffi_event_loop(void *context) {
    struct ffi_event *event;
    while ((event = next_event(context))) {
        deliver(context, event);
        free(event->name);
        free(event);
    }
    return NULL;
}

void ffi_events_clear(struct ffi_context *context) {
    while (context->listeners) {
        struct ffi_listener *first = context->listeners;
        context->listeners = first->next;
        free(first);
    }
}
