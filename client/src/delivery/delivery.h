/* Where a context's answers and events go: the two threads that run callbacks, berth_reap, listeners, and what the
 * context says of itself. It reads the channel, and knows neither sockets nor supervisors. */
#ifndef BERTH_DELIVERY_H
#define BERTH_DELIVERY_H

#include "base/alarm.h"
#include "base/clock.h"
#include "base/eventcount.h"
#include "channel/channel.h"
#include "channel/reap_sink.h"
#include "delivery/callback_pool.h"
#include "delivery/liveness.h"

struct listener {
    uint64_t id;
    berth_callback callback; /* NULL: by berth_reap */
    void *user_data;
    size_t name_len;
    char *name;
    struct listener *next;
};

struct listeners {
    pthread_mutex_t lock;
    struct listener *first; /* under lock, as the next two */
    uint64_t next_id;
    uint64_t running;         /* whose callback runs */
    struct eventcount idle;   /* a callback has ended */
    uint32_t liveness_wanted; /* somebody listens for not_responding or responding; atomic */
};

/* An event that has gone to some of its berth_reap listeners, and to the others goes with the next batch. */
struct half_told {
    uint8_t *bytes; /* name, data; NULL: there is none */
    size_t name_len, len;
    uint64_t after, last; /* listener ids: told up to, and to be told up to */
};

struct event_reader {
    pthread_mutex_t lock; /* the ring's consumer. The event thread holds it while it sleeps: others only try */
    struct berth_ring_consumer ring; /* under lock, as what follows but for poke */
    uint32_t armed;                  /* the ring's waiting word was left at ASLEEP_FD */
    uint64_t taken, dropped_told;    /* of the segment's events_dropped: what listeners have been told */
    uint32_t stuck_told;
    uint32_t poke; /* counts what the event thread must come and see; atomic */
};

struct callback_threads {
    pthread_mutex_t lock;
    uint32_t reply_started, event_started; /* atomic; set under lock */
    uint32_t stop, gone;                   /* atomic */
    struct berth_spin reply_spin;          /* the reply thread's */
};

struct reaper {
    uint32_t busy;                 /* a thread is in berth_reap; atomic, and guards the rest */
    struct completion *handed_out; /* what the last berth_reap took from the queue */
    struct reap_arena arena;
};

struct delivery {
    struct channel *channel;
    struct callback_pool *pool;
    struct due *due; /* the context's */
    struct callback_threads threads;
    struct event_reader events;
    struct listeners listeners;
    struct completion_queue notices; /* for the event thread */
    struct reaper reaper;
    struct half_told half_told; /* the thread's in berth_reap */
    struct liveness liveness;   /* control thread */
};

void delivery_init(struct delivery *delivery, struct channel *channel, struct callback_pool *pool, struct due *due);
void delivery_deinit(struct delivery *delivery);
/* Before a wait for the worker: has its liveness looked at, where somebody wants to know. */
static inline void delivery_watch(struct delivery *delivery) {
    if (!__atomic_load_n(&delivery->listeners.liveness_wanted, __ATOMIC_RELAXED))
        return;
    uint64_t due = due_at(delivery->due), want = clock_coarse_ns() + LIVENESS_LOOK_NS;
    if (!due || due > want)
        due_arm(delivery->due, want);
}
/* The event ring of the channel's fresh segment. With the event lock. */
void delivery_reset(struct delivery *delivery);

#endif
