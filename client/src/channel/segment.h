/* The host's side of a segment: makes the sealed memfd, writes its header (all but max_in_flight), maps it. */
#ifndef BERTH_SEGMENT_H
#define BERTH_SEGMENT_H

#include "ring_abi.h"

struct segment {
    struct berth_segment_header *header;
    uint64_t size;
};

/* The memfd of a fresh segment. 0 or -errno. */
int segment_make(int *out_fd);
/* Maps a fresh segment's memfd where this one is, in a single step. The descriptor stays the caller's. */
int segment_replace(struct segment *segment, int fd);
/* A fresh segment, of which addresses are taken and nothing else: no page can be had, or locked. *out_fd is the
 * descriptor to pass on and to close. Not inherited by fork(). 0 or -errno; -EAGAIN: the host has its memory locked,
 * and RLIMIT_MEMLOCK does not allow another segment. */
int segment_reserve(struct segment *segment, int *out_fd);
/* Makes a reserved one accessible, and writes its header. 0 or -errno. */
int segment_begin(struct segment *segment);
void segment_destroy(struct segment *segment);

static inline uint8_t *segment_ring(const struct segment *segment, enum berth_ring_name ring, uint64_t *capacity) {
    *capacity = berth_default_capacity(ring);
    return (uint8_t *)segment->header + berth_default_offset(BERTH_SEGMENT_MAJOR, ring);
}

#endif
