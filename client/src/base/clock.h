/* The one clock: CLOCK_MONOTONIC, in nanoseconds. Deadlines are points of it; 0 is "none". */
#ifndef BERTH_CLOCK_H
#define BERTH_CLOCK_H

#include "futex.h"

/* A few milliseconds late, and cheap. */
static inline uint64_t clock_coarse_ns(void) { return berth_clock_ns(CLOCK_MONOTONIC_COARSE); }

/* timeout_ms as in poll(2). */
static inline uint64_t clock_deadline(int timeout_ms) {
    return timeout_ms < 0 ? 0 : berth_now_ns() + (uint64_t)timeout_ms * 1000000u + 1;
}

static inline int clock_passed(uint64_t deadline_ns) { return deadline_ns && berth_now_ns() >= deadline_ns; }

/* The sooner of two due times, of which 0 is none. */
static inline uint64_t clock_sooner(uint64_t a, uint64_t b) { return !a || (b && b < a) ? b : a; }

#endif
