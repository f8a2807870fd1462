/* What a channel needs of the kernel: a segment, and the sockets by which its two sides wake each other. To make them
 * is most of what an open costs its host, so a client has one set ready, made while a close waits for its worker. No
 * worker has ever had it: a set that was a channel's goes with it. daemon/adr/0018 has the figures. */
#ifndef BERTH_SPARE_H
#define BERTH_SPARE_H

#include "channel/segment.h"
#include "channel/wake.h"

struct channel_parts {
    struct wake wake;
    struct segment segment;
    int segment_fd;
};

struct channel_spare {
    struct channel_parts *parts; /* atomic; NULL: there is none */
    uint64_t made_ns;            /* atomic */
    uint32_t closed, wanted;     /* atomic: a channel has ended; and another has begun since */
};

/* The spare, or a set of its own where there is none. 0, or -errno with nothing in *out. */
int channel_spare_take(struct channel_spare *spare, struct channel_parts *out);
/* A channel ends. Makes a spare if there is none, others have begun after an end, and the process's limits leave room
 * for it, which is tried by a copy of `descriptor`. By any thread, errno stays. Returns when channel_spare_tick is to
 * look; 0: none was made. */
uint64_t channel_spare_fill(struct channel_spare *spare, int descriptor);
/* Drops one that nobody has come for in a second. Returns when to look again; 0: there is none. */
uint64_t channel_spare_tick(struct channel_spare *spare, uint64_t now);
void channel_spare_drop(struct channel_spare *spare);

#endif
