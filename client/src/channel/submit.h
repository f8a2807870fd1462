/* The hot way in: one lock, one frame, one look at whether the worker sleeps. */
#ifndef BERTH_SUBMIT_H
#define BERTH_SUBMIT_H

#include "channel/channel.h"

/* 0 with *out (and the id, if asked for), or the berth_ret that refuses. */
int channel_submit(struct channel *channel, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                   const struct request_options *options, struct request **out, uint64_t *out_id);
/* The same with submit_lock held, and no bound on len but the ring's. */
int channel_submit_locked(struct channel *channel, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                          const struct request_options *options, struct request **out, uint64_t *out_id);
/* Gives the pages of a burst back once the worker has read them all; returns when to look again, 0: not before the next
 * burst. */
uint64_t channel_trim(struct channel *channel, uint64_t now);

#endif
