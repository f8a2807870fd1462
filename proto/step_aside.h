/* Moves one of our threads off the CPU that it shares with the peer it spins for.
 *
 * A wakeup may put a thread on the very CPU where its peer runs. The two then take turns by sched_yield, at a few
 * microseconds a call, with the next CPU idle; and the kernel's balancer leaves them there for long. Only a thread of
 * ours is moved, never the host's or the library's: its own affinity without the present CPU for a moment, then as it
 * was. */
#ifndef BERTH_PROTO_STEP_ASIDE_H
#define BERTH_PROTO_STEP_ASIDE_H

#include <sched.h>

#include "spin.h"

#define BERTH_ASIDE_TURNS 16u              /* waits in a row that only a yield ended */
#define BERTH_ASIDE_TRIAL 64u              /* waits after a move in which it must not get worse */
#define BERTH_ASIDE_FIRST_PAUSE_NS 5000000u /* between two moves; doubled each time */
#define BERTH_ASIDE_LONGEST_PAUSE_NS 5000000000u
#define BERTH_ASIDE_CALM_NS 10000000000u   /* without need for a move: start anew */

struct berth_step_aside {
    uint32_t turns, trial;
    uint64_t next_ns, pause_ns;
};

static inline void berth_step_aside_move(void) {
    cpu_set_t mine, others;
    int cpu = sched_getcpu();
    if (cpu < 0 || sched_getaffinity(0, sizeof mine, &mine) != 0)
        return;
    others = mine;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) && sched_setaffinity(0, sizeof others, &others) == 0)
        sched_setaffinity(0, sizeof mine, &mine);
}

static inline void berth_step_aside_consider(struct berth_step_aside *aside) {
    uint64_t now = berth_now_ns();
    aside->turns = 0;
    if (now < aside->next_ns)
        return;
    if (!aside->pause_ns || now - aside->next_ns > BERTH_ASIDE_CALM_NS)
        aside->pause_ns = BERTH_ASIDE_FIRST_PAUSE_NS;
    aside->next_ns = now + aside->pause_ns;
    aside->pause_ns =
        aside->pause_ns * 2 < BERTH_ASIDE_LONGEST_PAUSE_NS ? aside->pause_ns * 2 : BERTH_ASIDE_LONGEST_PAUSE_NS;
    aside->trial = BERTH_ASIDE_TRIAL;
    berth_step_aside_move();
}

/* Somebody else is busy there: to share with the peer is better. */
static inline void berth_step_aside_back(struct berth_step_aside *aside) {
    aside->trial = 0;
    aside->pause_ns = BERTH_ASIDE_LONGEST_PAUSE_NS;
    aside->next_ns = berth_now_ns() + aside->pause_ns;
    berth_step_aside_move();
}

/* After each wait; `spun`: it ended while spinning. */
static inline void berth_step_aside_after(struct berth_step_aside *aside, const struct berth_spin *spin, int spun) {
    if (aside->trial && spin->hogged)
        berth_step_aside_back(aside);
    else if (aside->trial)
        aside->trial--;
    if (!spun)
        return;
    aside->turns = spin->by_yield ? aside->turns + 1 : 0;
    if (aside->turns >= BERTH_ASIDE_TURNS)
        berth_step_aside_consider(aside);
}

#endif
