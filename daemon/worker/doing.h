// What the library thread is at, noted where a dead worker's supervisor can read it.
#pragma once

#include "crash_area.h"

namespace berth {

// Points into the crash area once there is one (crash_handler.h); else at memory that nobody reads.
inline berth_crash_running nobody_reads{};
inline berth_crash_running *noted_doing = &nobody_reads;

// Holds for as long as it lives. One at a time; on the library thread. A few plain stores: it is on the way of each call.
class Doing {
  public:
    explicit Doing(berth_crash_doing what, uint32_t method = 0, uint64_t id = 0, uint64_t size = 0) {
        __atomic_store_n(&noted_doing->method, method, __ATOMIC_RELAXED);
        __atomic_store_n(&noted_doing->id, id, __ATOMIC_RELAXED);
        __atomic_store_n(&noted_doing->size, size, __ATOMIC_RELAXED);
        __atomic_store_n(&noted_doing->doing, what, __ATOMIC_RELEASE);
    }
    ~Doing() { __atomic_store_n(&noted_doing->doing, BERTH_DOING_NOTHING, __ATOMIC_RELEASE); }
    Doing(const Doing &) = delete;
    Doing &operator=(const Doing &) = delete;
};

} // namespace berth
