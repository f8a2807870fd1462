/* Listeners. berth's event thread may still be about to call one when its context is gone; so what berth has of a
 * listener is a number, which is looked up. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stub.h"

#define BUCKETS 256u

struct stub_listener {
    uint64_t key; /* never given out twice */
    uint64_t id;  /* berth's, and the host's */
    struct stub_context *context;
    FFICallback cb;
    void *ud;
    struct stub_listener *next;            /* in its bucket */
    struct stub_listener *next_of_context;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stub_listener *buckets[BUCKETS];
static uint64_t last_key;

static struct stub_listener **find(uint64_t key) {
    struct stub_listener **at = &buckets[key % BUCKETS];
    while (*at && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

static void on_event(int ret, const uint8_t *data, size_t len, void *user_data) {
    struct stub_listener found = {0};
    pthread_mutex_lock(&lock);
    struct stub_listener *listener = *find((uint64_t)(uintptr_t)user_data);
    if (listener) {
        found = *listener;
        stub_context_hold(found.context);
    }
    pthread_mutex_unlock(&lock);
    if (!listener)
        return;
    stub_callback_thread(found.context);
    stub_tell(found.cb, found.ud, ret, data, len);
    stub_context_give(found.context);
}

static uint64_t link_listener(struct stub_listener *listener) {
    struct stub_context *context = listener->context;
    pthread_mutex_lock(&lock);
    uint64_t key = listener->key = ++last_key;
    struct stub_listener **bucket = find(key);
    *bucket = listener;
    listener->next_of_context = context->listeners;
    context->listeners = listener;
    pthread_mutex_unlock(&lock);
    return key;
}

/* Takes the one at *at out of both lists. With the lock. */
static struct stub_listener *unlink_at(struct stub_listener **at) {
    struct stub_listener *listener = *at, **bucket = find(listener->key);
    *at = listener->next_of_context;
    *bucket = listener->next;
    return listener;
}

static struct stub_listener **by_id(struct stub_context *context, uint64_t id) {
    struct stub_listener **at = &context->listeners;
    while (*at && (*at)->id != id)
        at = &(*at)->next_of_context;
    return at;
}

/* A destroy may have taken the listener away in the meantime. */
static void set_id(uint64_t key, uint64_t id) {
    pthread_mutex_lock(&lock);
    struct stub_listener *listener = *find(key);
    if (listener)
        listener->id = id;
    pthread_mutex_unlock(&lock);
}

static void forget(struct stub_context *context, uint64_t key) {
    pthread_mutex_lock(&lock);
    struct stub_listener **at = &context->listeners;
    while (*at && (*at)->key != key)
        at = &(*at)->next_of_context;
    struct stub_listener *listener = *at ? unlink_at(at) : NULL;
    pthread_mutex_unlock(&lock);
    free(listener);
}

static uint64_t add(struct stub_context *context, const char *event, FFICallback cb, void *ud) {
    uint64_t id = 0;
    struct stub_listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return 0;
    listener->context = context;
    listener->cb = cb;
    listener->ud = ud;
    uint64_t key = link_listener(listener);
    if (berth_listen(context->berth, event, on_event, (void *)(uintptr_t)key, &id) == BERTH_RET_OK) {
        set_id(key, id);
        return id;
    }
    forget(context, key);
    return 0;
}

static int remove_listener(struct stub_context *context, uint64_t id) {
    pthread_mutex_lock(&lock);
    struct stub_listener **at = by_id(context, id);
    struct stub_listener *listener = id && *at ? unlink_at(at) : NULL;
    pthread_mutex_unlock(&lock);
    if (!listener)
        return STUB_RET_ERR;
    free(listener);
    berth_unlisten(context->berth, id); /* waits while it runs, unless this is inside it */
    return STUB_RET_OK;
}

void stub_listeners_drop(struct stub_context *context) {
    pthread_mutex_lock(&lock);
    while (context->listeners)
        free(unlink_at(&context->listeners));
    pthread_mutex_unlock(&lock);
}

uint64_t stub_listen(void *ctx, const char *event, FFICallback cb, void *ud) {
    struct stub_context *context = event && cb ? stub_context_take(ctx) : NULL;
    if (!context)
        return 0;
    uint64_t id = add(context, event, cb, ud);
    stub_context_give(context);
    return id;
}

int stub_unlisten(void *ctx, uint64_t id) {
    struct stub_context *context = stub_context_take(ctx);
    if (!context)
        return STUB_RET_ERR;
    int rc = remove_listener(context, id);
    stub_context_give(context);
    return rc;
}

/* 1: the context has a listener already, and its callback is replaced. */
static int replace(struct stub_context *context, FFICallback cb, void *ud) {
    pthread_mutex_lock(&lock);
    struct stub_listener *listener = context->event_callback ? *by_id(context, context->event_callback) : NULL;
    if (listener) {
        listener->cb = cb;
        listener->ud = ud;
    }
    pthread_mutex_unlock(&lock);
    return listener != NULL;
}

void stub_set_event_callback(void *ctx, const char *event, FFICallback cb, void *ud) {
    struct stub_context *context = stub_context_take(ctx);
    if (!context)
        return;
    if (cb && replace(context, cb, ud)) {
        stub_context_give(context);
        return;
    }
    uint64_t id = cb ? add(context, event, cb, ud) : 0;
    pthread_mutex_lock(&lock);
    uint64_t before = context->event_callback;
    context->event_callback = id;
    pthread_mutex_unlock(&lock);
    remove_listener(context, before);
    stub_context_give(context);
}
