// Each end of a bare limit on a CPU of its own, where there are two: as a host and its worker are. Left to itself the
// kernel puts two processes that take turns on one CPU, and the limit is then a task switch and no wakeup.
#pragma once

#include <sched.h>

namespace berth::cli {

enum class End { Ours, Peer };

class Pinned {
  public:
    explicit Pinned(End end) {
        if (sched_getaffinity(0, sizeof before_, &before_) != 0)
            return;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(end == End::Ours ? first() : last(), &one);
        pinned_ = sched_setaffinity(0, sizeof one, &one) == 0;
    }
    Pinned(const Pinned &) = delete;
    Pinned &operator=(const Pinned &) = delete;
    ~Pinned() {
        if (pinned_)
            sched_setaffinity(0, sizeof before_, &before_);
    }

  private:
    int first() const {
        int cpu = 0;
        while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &before_))
            cpu++;
        return cpu;
    }
    int last() const {
        int cpu = CPU_SETSIZE - 1;
        while (cpu > 0 && !CPU_ISSET(cpu, &before_))
            cpu--;
        return cpu;
    }
    cpu_set_t before_{};
    bool pinned_ = false;
};

} // namespace berth::cli
