/* Poll mode: answers and events in batches.
 *
 * The descriptor of berth_poll_fd is readable when the worker has published into a ring left at ASLEEP_FD, and when
 * threads of this process have queued a completion. It is cleared before the rings and the queue are looked at, so a
 * completion that comes later makes it readable again; a wakeup for nothing is possible and harmless. */
#ifndef BERTH_REAP_H
#define BERTH_REAP_H

#include "delivery/delivery.h"

/* berth_reap's work, by the one thread that is in it. How many; 0: none came in time, or the context is over
 * (reap_is_over). */
int reap_batch(struct delivery *delivery, struct berth_completion *out, size_t capacity, int timeout_ms);
/* BERTH_LOOK. */
int reap_look(struct delivery *delivery, struct berth_completion *out, size_t capacity);
/* Everything has its answer, for good, and nothing is left to hand out. */
int reap_is_over(const struct delivery *delivery);

#endif
