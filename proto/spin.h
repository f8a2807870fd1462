/* How long to spin before sleeping, learned from the gaps seen lately.
 *
 * A spinning wait ends 0.1 µs after the frame, a sleeping one 30-60 µs; spinning costs a core. So: spin only where
 * the gaps of late were short, never where the process may use one CPU only, and stop when a sched_yield shows that
 * somebody else wanted the core. */
#ifndef BERTH_PROTO_SPIN_H
#define BERTH_PROTO_SPIN_H

#include <sched.h>
#include <stdint.h>

#include "futex.h"

#define BERTH_SPIN_BLIND 512u         /* looks before the clock is read at all */
#define BERTH_SPIN_LIMIT_NS 300000u   /* gaps longer than this are slept through; 1 MiB there and back takes as long */
#define BERTH_SPIN_YIELD_NS 4000u     /* between two sched_yields */
#define BERTH_SPIN_SWITCHED_NS 800u    /* a yield that took longer let somebody else run */
#define BERTH_SPIN_CROWDED_NS 15000u  /* … for longer than a peer needs for a small call */
#define BERTH_SPIN_HOGGED_NS 1000000u  /* … who would have gone on */

struct berth_spin {
    uint32_t gap_ns; /* moving average of the gaps, each counted as 2 × BERTH_SPIN_LIMIT_NS at most */
    uint32_t allowed; /* 0 on one CPU */
    uint32_t by_yield; /* the last wait ended in a sched_yield: the peer runs on our own CPU, so yield first */
    uint32_t hogged;   /* in the last wait somebody else kept the core for a time slice */
};

static inline void berth_spin_init(struct berth_spin *spin) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    spin->allowed = sched_getaffinity(0, sizeof cpus, &cpus) != 0 || CPU_COUNT(&cpus) > 1;
    spin->gap_ns = BERTH_SPIN_LIMIT_NS / 2;
    spin->by_yield = spin->hogged = 0;
}

static inline void berth_spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline void berth_spin_learn(struct berth_spin *spin, uint64_t gap_ns) {
    uint32_t most = 2 * BERTH_SPIN_LIMIT_NS;
    uint32_t gap = gap_ns > most ? most : (uint32_t)gap_ns;
    spin->gap_ns = spin->gap_ns - spin->gap_ns / 8 + gap / 8;
}

/* Budget for the wait that begins now: 0 is "sleep at once". */
static inline uint64_t berth_spin_budget(const struct berth_spin *spin) {
    if (!spin->allowed || spin->gap_ns > BERTH_SPIN_LIMIT_NS)
        return 0;
    uint64_t budget = (uint64_t)spin->gap_ns * 3 + 5000;
    return budget > BERTH_SPIN_LIMIT_NS ? BERTH_SPIN_LIMIT_NS : budget;
}

/* The clocked phase. `started` is when the wait began. 1: keep looking; 0: sleep. */
struct berth_spin_turn {
    uint64_t started;
    uint64_t until;
    uint64_t next_yield;
    uint32_t yielded; /* the look that comes now follows a yield to somebody */
    uint32_t crowded; /* somebody else wanted the core, and has had it */
};

static inline void berth_spin_begin(struct berth_spin *spin, struct berth_spin_turn *turn) {
    turn->started = berth_now_ns();
    turn->until = turn->started + berth_spin_budget(spin);
    turn->next_yield = spin->by_yield ? turn->started : turn->started + BERTH_SPIN_YIELD_NS;
    turn->yielded = turn->crowded = 0;
    spin->by_yield = spin->hogged = 0;
}

/* The wait ended in the clocked phase: what it waited for is there. */
static inline void berth_spin_found(struct berth_spin *spin, const struct berth_spin_turn *turn) {
    spin->by_yield = turn->yielded;
    berth_spin_learn(spin, berth_now_ns() - turn->started);
}

static inline int berth_spin_again(struct berth_spin *spin, struct berth_spin_turn *turn) {
    uint64_t now = berth_now_ns();
    if (now >= turn->until)
        return 0;
    if (now >= turn->next_yield) {
        sched_yield();
        uint64_t after = berth_now_ns();
        if (after - now > BERTH_SPIN_CROWDED_NS) {
            berth_spin_learn(spin, 2 * BERTH_SPIN_LIMIT_NS);
            spin->hogged |= after - now > BERTH_SPIN_HOGGED_NS;
            if (turn->crowded++) /* once is a thread that came by, and to sleep for it would cost a wakeup */
                return 0;
        }
        turn->next_yield = after + BERTH_SPIN_YIELD_NS;
        turn->yielded = after - now > BERTH_SPIN_SWITCHED_NS;
        return 1;
    }
    turn->yielded = 0;
    berth_spin_pause();
    return 1;
}

#endif
