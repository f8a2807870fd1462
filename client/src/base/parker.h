/* One thread's place to sleep until another unparks it. An unpark that comes first is kept, so none is lost; one that
 * comes late wakes a later park for nothing, which every caller expects. Lives in memory that outlasts both sides.
 * After the parker of Rust's standard library. */
#ifndef BERTH_PARKER_H
#define BERTH_PARKER_H

#include "futex.h"

enum { PARKER_EMPTY = 0, PARKER_TOKEN = 1, PARKER_ASLEEP = 2 };

struct parker {
    uint32_t word;
};

/* Sleeps until unparked or `deadline_ns` of CLOCK_MONOTONIC (0: none). */
static inline void parker_park(struct parker *parker, uint64_t deadline_ns) {
    uint32_t seen = PARKER_EMPTY;
    if (__atomic_compare_exchange_n(&parker->word, &seen, PARKER_ASLEEP, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        berth_futex_wait(&parker->word, PARKER_ASLEEP, deadline_ns);
    __atomic_exchange_n(&parker->word, PARKER_EMPTY, __ATOMIC_SEQ_CST);
}

static inline void parker_unpark(struct parker *parker) {
    if (__atomic_exchange_n(&parker->word, PARKER_TOKEN, __ATOMIC_SEQ_CST) == PARKER_ASLEEP)
        berth_futex_wake(&parker->word, 1);
}

#endif
