// Moves the library thread off the CPU that it shares with its host, when both are hot.
//
// A wakeup may put the worker on the very CPU where the host spins. The two then take turns by sched_yield, at a few
// microseconds a call, with the next CPU idle; and the kernel's balancer leaves them there for long. Only a thread of
// ours is moved, never the host's: its own affinity without the present CPU for a moment, then as it was.
#pragma once

#include <sched.h>

#include "spin.h"

namespace berth {

class StepAside {
  public:
    void after_wait(berth_spin &spin) {
        if (spin.by_yield >= kTurns)
            consider(spin);
    }

  private:
    static constexpr uint32_t kTurns = 16;            // waits in a row that only a yield ended
    static constexpr uint64_t kFirstPauseNs = 5'000'000; // between two moves; doubled each time
    static constexpr uint64_t kLongestPauseNs = 5'000'000'000;
    static constexpr uint64_t kCalmNs = 10'000'000'000; // without need for a move: start anew

    void consider(berth_spin &spin) {
        spin.by_yield = 0;
        uint64_t now = berth_now_ns();
        if (now < next_ns_)
            return;
        if (now - next_ns_ > kCalmNs)
            pause_ns_ = kFirstPauseNs;
        next_ns_ = now + pause_ns_;
        pause_ns_ = pause_ns_ * 2 < kLongestPauseNs ? pause_ns_ * 2 : kLongestPauseNs;
        move();
    }

    static void move() {
        cpu_set_t mine, others;
        int cpu = sched_getcpu();
        if (cpu < 0 || sched_getaffinity(0, sizeof mine, &mine) != 0)
            return;
        others = mine;
        CPU_CLR(cpu, &others);
        if (CPU_COUNT(&others) && sched_setaffinity(0, sizeof others, &others) == 0)
            sched_setaffinity(0, sizeof mine, &mine);
    }

    uint64_t next_ns_ = 0;
    uint64_t pause_ns_ = kFirstPauseNs;
};

} // namespace berth
