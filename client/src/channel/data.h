/* What a request's module sends on the way to its answer: DATA to the host, and CREDIT back for what the host has read.
 * The worker has so much of one request on its way at most, and waits for more; nobody else's answers do. */
#ifndef BERTH_DATA_H
#define BERTH_DATA_H

#include "channel/channel.h"
#include "channel/reap_sink.h"

/* A DATA frame on its way to callback or berth_reap. 0; -EBADMSG; -ENOMEM, -ENOBUFS: come again. Baton held. */
int channel_take_data(struct channel *channel, const struct berth_frame_header *header, const uint8_t *payload,
                      int must_wait, struct reap_sink *sink);
/* The host has had `len` bytes of DATA of that request. Any thread without the submit lock. */
void channel_credit(struct channel *channel, uint64_t id, size_t len);
/* Credit that found no room in the urgent ring; returns when to come again, 0: there is none. */
uint64_t channel_send_credit(struct channel *channel, uint64_t now);

#endif
