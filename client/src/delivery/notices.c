#include "delivery/notices.h"

#include <stdlib.h>

#include "base/cbor_map.h"
#include "channel/baton.h"
#include "delivery/callback_threads.h"
#include "delivery/listeners.h"

#define NOTICES_MOST 1024u /* that nobody has fetched; further ones are lost */

/* With the listeners' lock. */
static void queue_for(struct delivery *delivery, const struct listener *listener, const uint8_t *data, size_t len) {
    struct outbox *outbox = &delivery->channel->outbox;
    if (!listener->callback) {
        if (__atomic_load_n(&outbox->notices, __ATOMIC_RELAXED) < NOTICES_MOST &&
            outbox_put(outbox, BERTH_NOTICE, listener->id, BERTH_RET_OK, NULL, listener->user_data, data, len) == 0)
            poll_signal(delivery->channel);
        return;
    }
    if (completion_count(&delivery->notices) >= NOTICES_MOST)
        return;
    struct completion *completion =
        completion_new(BERTH_NOTICE, listener->id, BERTH_RET_OK, listener->callback, listener->user_data, data, len);
    if (completion) /* no memory: the next one may get through */
        completion_push(&delivery->notices, completion);
}

void notice(struct delivery *delivery, const char *name, const uint8_t *data, size_t len) {
    size_t name_len = strlen(name);
    pthread_mutex_lock(&delivery->listeners.lock);
    for (struct listener *listener = delivery->listeners.first; listener; listener = listener->next)
        if (listener->name_len == name_len && memcmp(listener->name, name, name_len) == 0)
            queue_for(delivery, listener, data, len);
    pthread_mutex_unlock(&delivery->listeners.lock);
    event_thread_wake(delivery);
}

void notice_count(struct delivery *delivery, const char *name, const char *key, uint64_t number) {
    uint8_t payload[128];
    size_t at = cbor_encode_map_start(1, payload, sizeof payload);
    notice(delivery, name, payload, cbor_map_put_number(payload, at, sizeof payload, key, number));
}

void notice_cause(struct delivery *delivery, const char *cause, uint64_t ms) {
    uint8_t payload[128];
    size_t at = cbor_encode_map_start(2, payload, sizeof payload);
    at = cbor_map_put_text(payload, at, sizeof payload, "cause", cause, strlen(cause));
    notice(delivery, "not_responding", payload, cbor_map_put_number(payload, at, sizeof payload, "ms", ms));
}

int notices_run(struct delivery *delivery) {
    int ran = 0;
    for (struct completion *next; (next = completion_pop(&delivery->notices)); ran++) {
        listener_run(delivery, next->id, next->data, next->len);
        free(next);
    }
    return ran;
}
