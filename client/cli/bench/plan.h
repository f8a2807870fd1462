// How long each row runs, and what comes out.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/bandwidth.h"
#include "bench/histogram.h"
#include "bench/timing.h"
#include "codec.h"
#include "options.h"

namespace berth::cli {

struct Plan {
    int rounds = 5;
    uint64_t row_ns = 300 * kMillisecond; // a latency row, in each round
    int paced_samples = 150;              // in each round
    uint64_t pause_ns = kMillisecond * 3 / 2;
    uint64_t pipelined_ns = 1000 * kMillisecond; // for each depth, in each round
    uint64_t bandwidth_ns = 120 * kMillisecond;  // for each size, in each round
    uint64_t memcpy_ns = 60 * kMillisecond;
    int open_close_samples = 200;
    int cold_starts = 2;
    int deaths = 20; // workers killed in each round
    int one_cpu_rounds = 5;
    uint64_t one_cpu_ns = 150 * kMillisecond;

    static Plan quick();
};

inline constexpr int kDepths[] = {64, 256};

struct Results {
    Histogram limit_spin, limit_futex, limit_futex_paced, unix_socket, call_hot, call_asleep;
    Histogram open_close, cold_start, death;
    std::map<int, std::vector<double>> pipelined_per_s;      // by depth
    std::map<size_t, std::vector<double>> bandwidth, memcpy, memcpy_local; // by payload size
    Json one_cpu, machine;
    uint64_t elapsed_ns = 0;
};

// Runs in a child of its own, so before libberth is used here. Its "error" says why there is nothing else.
Json measure_one_cpu(const Plan &plan, const ConnectOptions &options);
Json describe_machine();

} // namespace berth::cli
