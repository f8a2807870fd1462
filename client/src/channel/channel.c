#include "channel/channel.h"

#include "base/raw_io.h"

static void attach_rings(struct channel *channel) {
    struct berth_segment_header *header = channel->segment.header;
    uint64_t capacity;
    header->max_in_flight = channel->slots.total;
    uint8_t *bytes = segment_ring(&channel->segment, BERTH_RING_REQUEST, &capacity);
    berth_ring_attach_producer(&channel->request_ring, &header->control[BERTH_RING_REQUEST], bytes, capacity);
    bytes = segment_ring(&channel->segment, BERTH_RING_URGENT, &capacity);
    berth_ring_attach_producer(&channel->urgent_ring, &header->control[BERTH_RING_URGENT], bytes, capacity);
    bytes = segment_ring(&channel->segment, BERTH_RING_REPLY, &capacity);
    berth_ring_attach_consumer(&channel->reply_ring, &header->control[BERTH_RING_REPLY], bytes, capacity);
}

int channel_init(struct channel *channel, uint32_t in_flight, int for_restart, const struct channel_owner *owner_calls,
                 void *owner, struct channel_spare *spare, int *segment_fd) {
    struct channel_parts parts;
    channel->owner_calls = owner_calls;
    channel->owner = owner;
    pthread_mutex_init(&channel->submit_lock, NULL);
    pthread_mutex_init(&channel->waiters_lock, NULL);
    berth_spin_init(&channel->spin);
    outbox_init(&channel->outbox);
    int rc = channel_spare_take(spare, &parts);
    channel->wake = parts.wake;
    channel->segment = parts.segment;
    *segment_fd = parts.segment_fd;
    if (rc == 0)
        rc = slots_init(&channel->slots, in_flight, for_restart);
    if (rc == 0)
        attach_rings(channel);
    return rc;
}

void channel_deinit(struct channel *channel) {
    segment_destroy(&channel->segment);
    wake_deinit(&channel->wake);
    outbox_deinit(&channel->outbox);
    verdict_deinit(&channel->verdict);
    slots_deinit(&channel->slots);
}

int channel_reset(struct channel *channel, int segment_fd) {
    int rc = segment_replace(&channel->segment, segment_fd);
    if (rc < 0)
        return rc;
    attach_rings(channel);
    wake_drain(&channel->wake); /* its wakeups were the last worker's */
    channel->submitted = 0;
    channel->poll_armed = 0;
    channel->cut_off = 0;
    return 0;
}
