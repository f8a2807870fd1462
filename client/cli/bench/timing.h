// The loops that time a round trip: the same for berth and for the bare limits it is held against.
#pragma once

#include <cstdint>

#include "bench/histogram.h"
#include "clock.h"

namespace berth::cli {

inline constexpr uint64_t kMillisecond = 1000000;

// What one now_ns costs. Every sample holds one, and is counted without it: else the cheaper of two round trips
// would look dearer than it is, and every ratio better.
uint64_t clock_cost_ns();
void pause_ns(uint64_t ns);

inline uint64_t net(uint64_t gross, uint64_t clock_cost) { return gross > clock_cost ? gross - clock_cost : 0; }

// Back to back, for `duration_ns`. The first trips are not counted: caches, predictors and spin budgets settle.
template <class Trip> void time_back_to_back(Histogram &samples, uint64_t duration_ns, Trip &&trip) {
    constexpr int kWarmUp = 256;
    const uint64_t cost = clock_cost_ns();
    for (int i = 0; i < kWarmUp; i++)
        trip();
    const uint64_t started = now_ns();
    for (uint64_t before = started; before - started < duration_ns;) {
        trip();
        uint64_t after = now_ns();
        samples.add(net(after - before, cost));
        before = after;
    }
}

// One trip after each pause, so that both sides have gone to sleep when it begins.
template <class Trip> void time_paced(Histogram &samples, int count, uint64_t pause, Trip &&trip) {
    constexpr int kWarmUp = 12; // after so many long gaps an adaptive spinner has given up spinning
    const uint64_t cost = clock_cost_ns();
    for (int i = -kWarmUp; i < count; i++) {
        pause_ns(pause);
        uint64_t before = now_ns();
        trip();
        uint64_t after = now_ns();
        if (i >= 0)
            samples.add(net(after - before, cost));
    }
}

// How many times a second `batch`, which returns how many it did, gets one done.
template <class Batch> double rate_per_s(uint64_t duration_ns, Batch &&batch) {
    uint64_t done = 0, started = now_ns(), now = started;
    while (now - started < duration_ns) {
        done += batch();
        now = now_ns();
    }
    return static_cast<double>(done) * 1e9 / static_cast<double>(now - started);
}

} // namespace berth::cli
