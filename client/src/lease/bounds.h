/* The bounds that a lease can be under, several at once, each by its name. Set by any thread, looked at by the control
 * thread. */
#ifndef BERTH_BOUNDS_H
#define BERTH_BOUNDS_H

#include <stdint.h>

enum bound {
    BOUND_CLOSE,      /* the close is over by then, or the worker is given up */
    BOUND_QUICK,      /* a close that is not over by then is announced to worker and supervisor */
    BOUND_SUPERVISOR, /* an open waits so long for a supervisor to be there */
    BOUND_OPEN,       /* the open has its answer by then */
    BOUND_DEATH,      /* the pidfd has told of the worker's death; the supervisor says more by then, or nothing */
    BOUND_COUNT
};

struct bounds {
    uint64_t at_ns[BOUND_COUNT]; /* 0: not under it; atomic */
};

static inline void bound_set(struct bounds *bounds, enum bound bound, uint64_t at_ns) {
    __atomic_store_n(&bounds->at_ns[bound], at_ns, __ATOMIC_SEQ_CST);
}
static inline void bound_lift(struct bounds *bounds, enum bound bound) { bound_set(bounds, bound, 0); }
static inline uint64_t bound_at(const struct bounds *bounds, enum bound bound) {
    return __atomic_load_n(&bounds->at_ns[bound], __ATOMIC_SEQ_CST);
}
static inline int bound_has_passed(const struct bounds *bounds, enum bound bound, uint64_t now) {
    uint64_t at = bound_at(bounds, bound);
    return at && now >= at;
}
/* The soonest that is still to come; 0: none. */
static inline uint64_t bounds_next(const struct bounds *bounds, uint64_t now) {
    uint64_t next = 0;
    for (int bound = 0; bound < BOUND_COUNT; bound++) {
        uint64_t at = bound_at(bounds, (enum bound)bound);
        if (at > now && (!next || at < next))
            next = at;
    }
    return next;
}

#endif
