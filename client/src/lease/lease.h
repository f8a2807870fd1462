/* A context's hold on a worker, from the asking for one to the end: the machine of lease_fsm.h, its two facts, and the
 * bounds. It decides what ends a context; the words of that verdict are the channel's. */
#ifndef BERTH_LEASE_H
#define BERTH_LEASE_H

#include "base/clock.h"
#include "base/eventcount.h"
#include "channel/channel.h"
#include "lease/bounds.h"
#include "lease/lease_fsm.h"

struct lease {
    struct channel *channel; /* whose submit_lock guards what is not said to be otherwise */
    uint32_t state;          /* enum lease_state; atomic, moves with the lock */
    uint32_t facts;          /* enum lease_fact; likewise */
    struct bounds bounds;
    struct eventcount changed; /* a fact, or a verdict */

    uint32_t worker_pid; /* of OPENED; control thread, as the next two */
    int worker_pidfd;
    uint32_t death_looks; /* how often the baton's holder was waited for, who may have the worker's last word */
    uint32_t drain_ms, teardown_ms;
    uint32_t open_timeout_ms; /* never changes */

    uint32_t outcome;                /* enum berth_outcome: how a close went */
    uint64_t cut_off;                /* requests answered RECYCLED */
    struct completion *close_answer; /* for the callback of a close; made when it begins, filled at its end */

    uint8_t *config; /* what a restart needs (BERTH_RESTART); NULL: there is none. Never changes */
    size_t config_len;
    uint32_t restarts;
};

#define CLOSE_SLACK_MS 2000u /* the worker's and the supervisor's bounds come first */
#define QUICK_CLOSE_NS 2000000u
#define OPEN_SLACK_MS 500u        /* the supervisor's bound comes first: it knows why no worker was to be had */
#define DIED_GRACE_NS 1000000000u /* how long the pidfd waits for the supervisor to say more */

void lease_init(struct lease *lease, struct channel *channel, uint32_t open_timeout_ms);
void lease_deinit(struct lease *lease);
/* Copies what a restart needs. 0 or -ENOMEM. */
int lease_keep_config(struct lease *lease, const void *config, size_t len);

static inline uint32_t lease_state(const struct lease *lease) {
    return __atomic_load_n(&lease->state, __ATOMIC_SEQ_CST);
}
static inline uint32_t lease_facts(const struct lease *lease) {
    return __atomic_load_n(&lease->facts, __ATOMIC_SEQ_CST);
}
static inline int lease_has(const struct lease *lease, enum lease_fact fact) {
    return (lease_facts(lease) & fact) != 0;
}
/* Neither closed nor lost, nor on its way there. */
static inline int lease_serves(const struct lease *lease) {
    uint32_t state = lease_state(lease);
    return state == LEASE_OPENING || state == LEASE_ACTIVE;
}

/* With the lock: moves, and has the channel refuse or take requests accordingly. 0; -1: there is no such transition. */
int lease_move(struct lease *lease, enum lease_event event);
void lease_note(struct lease *lease, enum lease_fact fact);

/* Ends it with a verdict, which is the close's if there is one: `ret` with `data` answers what is pending. 1: this is
 * the first verdict, and somebody has to settle it. Takes the lock. */
int lease_end(struct lease *lease, uint32_t ret, const void *data, size_t len);
/* The answer to `create` came, and it went well. Takes the lock. */
void lease_created(struct lease *lease);
/* How long a close may take, from now on. With the lock. */
uint32_t lease_close_ms(const struct lease *lease);
static inline uint64_t lease_open_deadline(const struct lease *lease) {
    return berth_now_ns() + ((uint64_t)lease->open_timeout_ms + OPEN_SLACK_MS) * 1000000u;
}

#endif
