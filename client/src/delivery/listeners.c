#include "delivery/listeners.h"

#include <stdlib.h>
#include <string.h>

#include "channel/baton.h"
#include "delivery/callback_threads.h"

static int matches(const struct listener *listener, const void *name, size_t name_len) {
    return listener->name_len == name_len && memcmp(listener->name, name, name_len) == 0;
}

int listeners_next(struct delivery *delivery, const uint8_t *name, size_t name_len, uint64_t *last,
                   struct listener *out) {
    struct listeners *listeners = &delivery->listeners;
    int found = 0;
    uint64_t after = out->id;
    pthread_mutex_lock(&listeners->lock);
    if (*last == 0)
        *last = listeners->next_id;
    for (struct listener *listener = listeners->first; listener && !found; listener = listener->next) {
        if (listener->id > after && listener->id <= *last && matches(listener, name, name_len)) {
            *out = *listener;
            found = 1;
            if (listener->callback && event_thread_is_current(delivery))
                listeners->running = listener->id;
        }
    }
    pthread_mutex_unlock(&listeners->lock);
    return found;
}

void listener_ran(struct delivery *delivery) {
    pthread_mutex_lock(&delivery->listeners.lock);
    delivery->listeners.running = 0;
    pthread_mutex_unlock(&delivery->listeners.lock);
    eventcount_advance(&delivery->listeners.idle);
}

void listener_run(struct delivery *delivery, uint64_t id, const uint8_t *data, size_t len) {
    struct listeners *listeners = &delivery->listeners;
    struct listener found = {0};
    pthread_mutex_lock(&listeners->lock);
    for (struct listener *listener = listeners->first; listener; listener = listener->next)
        if (listener->id == id)
            found = *listener;
    if (found.callback)
        listeners->running = id;
    pthread_mutex_unlock(&listeners->lock);
    if (!found.callback)
        return;
    found.callback(BERTH_RET_OK, data, len, found.user_data);
    listener_ran(delivery);
}

static int named(const struct listener *listener, const char *name) { return matches(listener, name, strlen(name)); }

/* With the listeners' lock. */
static void changed(struct delivery *delivery) {
    struct listeners *listeners = &delivery->listeners;
    uint32_t liveness = 0;
    for (struct listener *listener = listeners->first; listener; listener = listener->next)
        liveness |= named(listener, "not_responding") || named(listener, "responding");
    __atomic_store_n(&listeners->liveness_wanted, liveness, __ATOMIC_RELEASE);
    __atomic_store_n(&delivery->channel->segment.header->events_wanted, listeners->first != NULL, __ATOMIC_RELEASE);
}

void listeners_tell_worker(struct delivery *delivery) {
    pthread_mutex_lock(&delivery->listeners.lock);
    changed(delivery);
    pthread_mutex_unlock(&delivery->listeners.lock);
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

int listeners_add(struct delivery *delivery, const char *event, berth_callback callback, void *user_data,
                  uint64_t *out_listener) {
    struct listeners *listeners = &delivery->listeners;
    struct listener *listener = listener_new(event, callback, user_data);
    if (!listener)
        return BERTH_RET_ERR;
    pthread_mutex_lock(&listeners->lock);
    listener->id = ++listeners->next_id;
    *out_listener = listener->id;
    struct listener **end = &listeners->first;
    while (*end)
        end = &(*end)->next;
    *end = listener;
    changed(delivery);
    pthread_mutex_unlock(&listeners->lock);
    delivery_watch(delivery); /* something may be in flight */
    /* Whoever polls went to sleep without an eye on the event ring, if this is the first listener. */
    if (!callback)
        poll_signal(delivery->channel);
    return 0;
}

static struct listener *unlink_listener(struct listeners *listeners, uint64_t id) {
    struct listener **at = &listeners->first;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct listener *found = *at;
    if (found)
        *at = found->next;
    return found;
}

static int is_running(struct listeners *listeners, uint64_t id) {
    pthread_mutex_lock(&listeners->lock);
    int running = listeners->running == id;
    pthread_mutex_unlock(&listeners->lock);
    return running;
}

int listeners_remove(struct delivery *delivery, uint64_t id) {
    struct listeners *listeners = &delivery->listeners;
    pthread_mutex_lock(&listeners->lock);
    struct listener *listener = unlink_listener(listeners, id);
    changed(delivery);
    pthread_mutex_unlock(&listeners->lock);
    free(listener);
    while (listener && !event_thread_is_current(delivery)) {
        uint32_t key = eventcount_key(&listeners->idle);
        if (!is_running(listeners, id))
            break;
        eventcount_wait(&listeners->idle, key, 0);
    }
    return listener != NULL;
}

void listeners_deinit(struct listeners *listeners) {
    for (struct listener *next; listeners->first; listeners->first = next) {
        next = listeners->first->next;
        free(listeners->first);
    }
}
