/* What the module says of a request that it still works on, and our own pings for one of which it says nothing:
 * STALE_WARN to the host. */
#ifndef BERTH_PROGRESS_H
#define BERTH_PROGRESS_H

#include "channel/channel.h"
#include "channel/reap_sink.h"

/* A PROGRESS frame on its way to callback or berth_reap. 0; -EBADMSG; -ENOMEM, -ENOBUFS: come again. Baton held. */
int channel_take_progress(struct channel *channel, const struct berth_frame_header *header, const uint8_t *payload,
                          struct reap_sink *sink);
/* Tells of requests that have been in flight for long; returns when to look again, 0: when there are others. Any
 * thread. */
uint64_t channel_ping(struct channel *channel, uint64_t now);

#endif
