/* One segment's traffic, as its host sees it.
 *
 * In: any thread writes a frame with the submit lock (submit.h). Out: the reply ring has one consumer at a time,
 * whoever holds the baton (baton.h, drain.h): a blocked caller, the thread that runs callbacks, berth_reap, or the
 * control thread for what is owed to nobody in particular. It answers its own request where it stands, copies other
 * callers' answers to them, and leaves the rest in the outbox. A verdict ends it: what is pending is answered with
 * that, once, by whoever has the baton (settle.h).
 *
 * The channel knows no supervisor, no open and no callback's run. What it finds out for its owner it tells by the table
 * given at its beginning. */
#ifndef BERTH_CHANNEL_H
#define BERTH_CHANNEL_H

#include <pthread.h>

#include "channel/outbox.h"
#include "channel/slots.h"
#include "channel/spare.h"
#include "channel/verdict.h"
#include "ring_spin.h"

/* All but look_again run with the baton held, `broken` also without; none may wait. Who has told of something broken
 * without the baton sees to it that the verdict is settled (channel_settle_now). */
struct channel_owner {
    /* The answer to the create request: `ret` OK, or why not. It is answered after this. */
    void (*created)(void *owner, uint32_t ret, const void *data, size_t len);
    /* CLOSED: the worker's last frame, with an enum berth_outcome and, where the host did not ask for it, why. */
    void (*closed)(void *owner, uint32_t outcome, const void *text, size_t len);
    /* The worker sent what no worker sends. */
    void (*broken)(void *owner, const char *text);
    /* Everything in flight has its answer; `cut_off`: requests that were answered RECYCLED. Before `settled` shows. */
    void (*settled)(void *owner, uint64_t cut_off);
    /* After it shows. */
    void (*over)(void *owner);
    /* Somebody is about to sleep for an answer. */
    void (*waits)(void *owner);
    /* channel_trim or channel_send_credit has something to do then. Also without the baton. */
    void (*look_again)(void *owner, uint64_t due_ns);
};

/* A thread that wants the baton and sleeps until it is its turn. */
struct baton_waiter {
    struct parker *parker;
    struct baton_waiter *next, *previous; /* under waiters_lock */
};

#define CHANNEL_LINE __attribute__((aligned(128)))

struct channel {
    /* In. */
    pthread_mutex_t submit_lock;
    uint32_t refusal; /* enum berth_ret: what new requests are refused with; OK: they are taken. Under submit_lock */
    struct slots slots;
    struct berth_ring_producer request_ring; /* under submit_lock, as the next three */
    uint64_t submitted;                      /* requests sent, ever */
    uint64_t last_large_ns;                  /* when a request last left the hot window */
    struct berth_ring_producer urgent_ring;

    /* Out. Words are atomic; what stands under "baton" is its holder's. */
    uint32_t baton CHANNEL_LINE; /* 1: somebody consumes the reply ring */
    uint32_t baton_wanted;       /* how many wait for it */
    uint32_t poke;               /* counts what a holder asleep on the ring must come and see */
    uint32_t ring_asleep;
    struct berth_ring_consumer reply_ring; /* baton */
    struct berth_spin spin;                /* baton; `allowed` never changes */
    uint64_t cut_off;                      /* baton: requests answered RECYCLED */
    uint32_t stuffed;    /* baton: the last drain stopped at an answer for which the outbox is too full */
    uint32_t last_words; /* baton: nothing may wait in the ring, as the worker is dead */
    pthread_mutex_t waiters_lock;
    struct baton_waiter *waiters_first, *waiters_last; /* under waiters_lock */

    /* Who is told by a descriptor that there is something to read. Atomic words, but for poll_armed. */
    uint32_t poll_mode CHANNEL_LINE; /* berth_poll_fd was called */
    uint32_t poll_looks;             /* the last berth_reap was a look: who polls looks again before it waits */
    uint32_t poll_armed;             /* baton: the ring's waiting word was left at ASLEEP_FD */
    uint32_t poll_dirty;             /* a wakeup was or will be written */
    uint32_t reap_asleep;            /* berth_reap sleeps on the descriptor */
    uint32_t last_resort;            /* something is owed to nobody in particular: the control thread reads */
    uint32_t cancels_due;            /* the urgent ring had no room for some */
    struct wake wake;

    struct outbox outbox CHANNEL_LINE;
    struct verdict verdict;
    struct segment segment; /* replaced by a restart, with submit_lock, baton and the event lock */

    const struct channel_owner *owner_calls;
    void *owner;
};

/* 0 or -errno; the segment's descriptor is the caller's, -1 where there is none. channel_deinit may follow either
 * way. */
int channel_init(struct channel *channel, uint32_t in_flight, int for_restart, const struct channel_owner *owner_calls,
                 void *owner, struct channel_spare *spare, int *segment_fd);
void channel_deinit(struct channel *channel);
/* A fresh segment in the old one's place, at the same addresses. With submit_lock and baton. 0 or -errno. */
int channel_reset(struct channel *channel, int segment_fd);

#endif
