/* The host's side of a segment: makes the sealed memfd, writes its header, maps it. */
#ifndef BERTH_SEGMENT_H
#define BERTH_SEGMENT_H

#include "ring_abi.h"

struct segment {
    struct berth_segment_header *header;
    uint64_t size;
};

/* A fresh segment; *out_fd is the descriptor to pass on and to close. 0 or -errno. Not inherited by fork(). */
int segment_create(struct segment *segment, uint32_t max_in_flight, int *out_fd);
void segment_destroy(struct segment *segment);

static inline uint8_t *segment_ring(const struct segment *segment, enum berth_ring_name ring, uint64_t *capacity) {
    static const uint64_t offsets[BERTH_RING_COUNT] = {
        BERTH_SEGMENT_HEADER_SIZE,
        BERTH_SEGMENT_HEADER_SIZE + BERTH_RING_CAPACITY,
        BERTH_SEGMENT_HEADER_SIZE + 2 * BERTH_RING_CAPACITY,
        BERTH_SEGMENT_HEADER_SIZE + 3 * BERTH_RING_CAPACITY,
    };
    *capacity = ring == BERTH_RING_URGENT ? BERTH_URGENT_CAPACITY : BERTH_RING_CAPACITY;
    return (uint8_t *)segment->header + offsets[ring];
}

#endif
