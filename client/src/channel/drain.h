/* What the reply ring brings, on its way to whom it is for. The hot way out. */
#ifndef BERTH_DRAIN_H
#define BERTH_DRAIN_H

#include "channel/channel.h"
#include "channel/reap_sink.h"

/* Between two looks at a deadline or a verdict. */
#define DRAIN_BATCH 64

/* Takes and answers what is in the reply ring, at most `most` frames, until `own` (or NULL) is answered. Answers for
 * berth_reap go to `sink` (or NULL) while it has room. A caller without an `own` stops where the outbox is full. Baton
 * held. Frames taken. */
int channel_drain(struct channel *channel, struct request *own, struct reap_sink *sink, int most);

/* What the worker had said before it died is still good, and none of it may wait. A ring holds only so much of it,
 * whatever a worker that is not quite dead goes on to write. Baton held. */
void channel_drain_last(struct channel *channel);

/* Whether what is for a request's submitter goes there, and not to the outbox: what was said before must not be there. */
static inline int goes_to_sink(const struct channel *channel, const struct request *request,
                               const struct reap_sink *sink) {
    return sink && !request->options.callback && !completion_count(&channel->outbox.for_reap);
}

/* The one place where a request gets its answer. It is claimed, and is no longer the caller's after 0. -ENOMEM,
 * -ENOBUFS: nothing was done, and it is unclaimed. */
int request_answer(struct channel *channel, struct request *request, struct request *own, struct reap_sink *sink,
                   int ret, const void *data, size_t len);

#endif
