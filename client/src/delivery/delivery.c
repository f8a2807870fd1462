#include "delivery/delivery.h"

#include <stdlib.h>

#include "delivery/listeners.h"

static void attach_ring(struct delivery *delivery) {
    struct segment *segment = &delivery->channel->segment;
    uint64_t capacity;
    uint8_t *bytes = segment_ring(segment, BERTH_RING_EVENT, &capacity);
    berth_ring_attach_consumer(&delivery->events.ring, &segment->header->control[BERTH_RING_EVENT], bytes, capacity);
}

void delivery_init(struct delivery *delivery, struct channel *channel, struct callback_pool *pool, struct due *due) {
    delivery->channel = channel;
    delivery->pool = pool;
    delivery->due = due;
    pthread_mutex_init(&delivery->threads.lock, NULL);
    pthread_mutex_init(&delivery->events.lock, NULL);
    pthread_mutex_init(&delivery->listeners.lock, NULL);
    completion_queue_init(&delivery->notices);
    delivery->threads.reply_spin = channel->spin;
    attach_ring(delivery);
}

void delivery_deinit(struct delivery *delivery) {
    for (struct completion *next; delivery->reaper.handed_out; delivery->reaper.handed_out = next) {
        next = delivery->reaper.handed_out->next;
        free(delivery->reaper.handed_out);
    }
    completion_queue_deinit(&delivery->notices);
    listeners_deinit(&delivery->listeners);
    free(delivery->half_told.bytes);
    free(delivery->reaper.arena.bytes);
}

void delivery_reset(struct delivery *delivery) {
    struct event_reader *events = &delivery->events;
    attach_ring(delivery);
    events->armed = 0;
    events->taken = events->dropped_told = 0;
    events->stuck_told = 0;
    delivery->liveness = (struct liveness){0};
}
