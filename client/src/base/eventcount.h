/* Waiting for something to change, without a condition variable: pthread_cond_wait is a cancellation point, and a
 * host's thread that ends in it ends with our lock held. Take the key, look at what you wait for, then wait; whoever
 * changes it advances the count afterwards, which is no system call where nobody waits. After Vyukov's eventcount. */
#ifndef BERTH_EVENTCOUNT_H
#define BERTH_EVENTCOUNT_H

#include <limits.h>

#include "futex.h"

struct eventcount {
    uint32_t count;
    uint32_t waiters;
};

static inline uint32_t eventcount_key(const struct eventcount *events) {
    return __atomic_load_n(&events->count, __ATOMIC_SEQ_CST);
}

/* Returns when the count is no longer `key`, at the deadline (0: none), or for nothing. */
static inline void eventcount_wait(struct eventcount *events, uint32_t key, uint64_t deadline_ns) {
    __atomic_fetch_add(&events->waiters, 1, __ATOMIC_SEQ_CST);
    berth_futex_wait(&events->count, key, deadline_ns);
    __atomic_fetch_sub(&events->waiters, 1, __ATOMIC_SEQ_CST);
}

static inline void eventcount_advance(struct eventcount *events) {
    __atomic_fetch_add(&events->count, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&events->waiters, __ATOMIC_SEQ_CST))
        berth_futex_wake(&events->count, INT_MAX);
}

#endif
