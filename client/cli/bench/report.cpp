#include "bench/report.h"

#include <cmath>

namespace berth::cli {
namespace {

Json latency(const Histogram &samples, double unit_ns = 1) {
    if (samples.count() == 0)
        return nullptr;
    auto at = [&](double share) { return static_cast<double>(samples.percentile(share)) / unit_ns; };
    return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"samples", samples.count()}};
}

// Ratios to three digits: more would pretend.
Json ratio(double value, double limit) {
    if (limit <= 0 || value <= 0)
        return nullptr;
    return std::round(value / limit * 1000) / 1000;
}

Json ratio(const Histogram &samples, const Histogram &limit) {
    return ratio(static_cast<double>(samples.percentile(0.5)), static_cast<double>(limit.percentile(0.5)));
}

Json by_size(const std::map<size_t, std::vector<double>> &rates) {
    Json out = Json::object();
    for (const auto &[size, values] : rates)
        out[std::to_string(size)] = std::round(median(values) * 10) / 10;
    return out;
}

Json bandwidth_ratios(const Results &results) {
    Json out = Json::object();
    for (const auto &[size, values] : results.bandwidth)
        if (auto limit = results.memcpy.find(size); limit != results.memcpy.end())
            out[std::to_string(size)] = ratio(median(values) * kEchoCopies, median(limit->second));
    return out;
}

void add_pipelined(Json &report, const Results &results) {
    double best = 0;
    int depth = 0;
    Json all = Json::object();
    for (const auto &[candidate, rates] : results.pipelined_per_s) {
        double rate = std::round(median(rates));
        all[std::to_string(candidate)] = rate;
        if (rate > best) {
            best = rate;
            depth = candidate;
        }
    }
    report["pipelined_per_s"] = best > 0 ? Json(best) : Json();
    report["pipelined_depth"] = depth > 0 ? Json(depth) : Json();
    report["pipelined_per_s_by_depth"] = all;
}

Json ratios(const Results &r) {
    return {{"call_hot", ratio(r.call_hot, r.limit_spin)},
            {"call_asleep", ratio(r.call_asleep, r.limit_futex)},
            {"call_asleep_paced", ratio(r.call_asleep, r.limit_futex_paced)},
            {"call_hot_to_unix_socket", ratio(r.call_hot, r.unix_socket)},
            {"open_close_to_unix_socket", ratio(r.open_close, r.unix_socket)}};
}

} // namespace

Json report_json(const Results &results) {
    Json report = {
        {"limit_spin_ns", latency(results.limit_spin)},   {"call_hot_ns", latency(results.call_hot)},
        {"limit_futex_ns", latency(results.limit_futex)}, {"limit_futex_paced_ns", latency(results.limit_futex_paced)},
        {"call_asleep_ns", latency(results.call_asleep)}, {"unix_socket_ns", latency(results.unix_socket)}};
    add_pipelined(report, results);
    report["bandwidth_mb_s"] = by_size(results.bandwidth);
    report["memcpy_mb_s"] = by_size(results.memcpy);
    report["memcpy_local_mb_s"] = by_size(results.memcpy_local);
    report["copies_made"] = kEchoCopies;
    report["bandwidth_ratio"] = bandwidth_ratios(results);
    report["open_close_us"] = latency(results.open_close, 1000);
    report["death_us"] = latency(results.death, 1000);
    report["cold_start_us"] = latency(results.cold_start, 1000);
    report["one_cpu"] = results.one_cpu;
    report["ratios"] = ratios(results);
    report["clock_ns"] = clock_cost_ns(); // taken off every latency
    report["machine"] = results.machine;
    report["elapsed_s"] = std::round(static_cast<double>(results.elapsed_ns) / 1e8) / 10;
    return report;
}

} // namespace berth::cli
