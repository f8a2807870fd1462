#include "bench/timing.h"

#include <algorithm>
#include <ctime>

namespace berth::cli {
namespace {

uint64_t measured_clock_cost() {
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < 20; round++) {
        constexpr int kReads = 2000;
        uint64_t started = now_ns();
        for (int i = 0; i < kReads - 1; i++)
            now_ns();
        best = std::min(best, (now_ns() - started) / kReads);
    }
    return best;
}

} // namespace

uint64_t clock_cost_ns() {
    static const uint64_t cost = measured_clock_cost();
    return cost;
}

void pause_ns(uint64_t ns) {
    timespec pause = {static_cast<time_t>(ns / 1000000000u), static_cast<long>(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause) != 0) {
    }
}

} // namespace berth::cli
