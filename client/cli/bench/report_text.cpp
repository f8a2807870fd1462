#include <cstdio>

#include "bench/report.h"
#include "table.h"

namespace berth::cli {
namespace {

constexpr double kHotBound = 3, kAsleepBound = 1.3, kPipelinedBound = 3e6, kBandwidthBound = 0.6;
constexpr double kOpenCloseBound = 4, kDeathBoundUs = 10000;
constexpr size_t kBandwidthFrom = 65536; // below, a call costs more than its bytes

std::string printed(const char *format, double value) {
    char text[64];
    snprintf(text, sizeof text, format, value);
    return text;
}

std::string number(const Json &value) { return value.is_number() ? human_number(value.get<double>()) : "-"; }

std::string times(const Json &ratio) { return ratio.is_number() ? printed("%.2f×", ratio.get<double>()) : "-"; }

const Json &at(const Json &object, const std::string &key) {
    static const Json none;
    return object.is_object() && object.contains(key) ? object.at(key) : none;
}

std::string verdict(const Json &value, double bound, bool at_most, const std::string &text) {
    if (!value.is_number())
        return text;
    bool held = at_most ? value.get<double>() <= bound : value.get<double>() >= bound;
    return text + (held ? "  ok" : "  MISSED");
}

void add_latency(Table &table, const Json &row, const std::string &name, const std::string &ratio = "",
                 const std::string &bound = "") {
    table.add({name, number(at(row, "p50")), number(at(row, "p99")), ratio, bound});
}

std::string latencies(const Json &report) {
    Table table({"64 B, there and back (ns)", "p50", "p99", "ratio", "bound"});
    const Json &ratios = at(report, "ratios");
    const Json &hot = at(ratios, "call_hot"), &asleep = at(ratios, "call_asleep"),
               &paced = at(ratios, "call_asleep_paced");
    add_latency(table, at(report, "limit_spin_ns"), "bare spinning ping-pong");
    add_latency(table, at(report, "call_hot_ns"), "berth_call, hot", times(hot),
                verdict(hot, kHotBound, true, "≤ 3× bare spinning"));
    add_latency(table, at(report, "limit_futex_ns"), "bare futex ping-pong");
    add_latency(table, at(report, "call_asleep_ns"), "berth_call, after a pause", times(asleep),
                verdict(asleep, kAsleepBound, true, "≤ 1.3× bare futex"));
    add_latency(table, at(report, "limit_futex_paced_ns"), "bare futex, after a pause", times(paced),
                "the call beside this");
    add_latency(table, at(report, "unix_socket_ns"), "unix socket");
    return table.text();
}

std::string one_cpu(const Json &report) {
    const Json &one = at(report, "one_cpu");
    if (one.contains("error"))
        return "on one CPU: " + at(one, "error").get<std::string>() + "\n";
    const Json &ratio = at(one, "ratio"), &piped = at(one, "pipelined_ratio");
    Table table({"on one CPU", "berth", "unix socket", "ratio", "bound"});
    table.add({"call, p50 (ns)", number(at(at(one, "call_ns"), "p50")), number(at(at(one, "unix_socket_ns"), "p50")),
               times(ratio), verdict(ratio, 1, true, "≤ 1×")});
    table.add({"pipelined (1/s)", number(at(one, "pipelined_per_s")), number(at(one, "unix_socket_pipelined_per_s")),
               times(piped), verdict(piped, 1, false, "≥ 1×")});
    return table.text();
}

std::string bandwidth(const Json &report) {
    Table table({"payload", "echo MB/s", "memcpy MB/s", "in one thread", "of what " + dump(at(report, "copies_made")) + " copies allow",
                 "bound"});
    for (const auto &[size, rate] : at(report, "bandwidth_mb_s").items()) {
        const Json &ratio = at(at(report, "bandwidth_ratio"), size);
        bool bound = std::stoull(size) >= kBandwidthFrom;
        table.add({human_bytes(std::stod(size)), number(rate), number(at(at(report, "memcpy_mb_s"), size)),
                   number(at(at(report, "memcpy_local_mb_s"), size)),
                   ratio.is_number() ? printed("%.0f %%", ratio.get<double>() * 100) : "-",
                   bound ? verdict(ratio, kBandwidthBound, false, "≥ 60 %") : ""});
    }
    return table.text();
}

std::string lifecycle(const Json &report) {
    Table table({"contexts (µs)", "p50", "p99", "ratio", "bound"});
    const Json &warm = at(at(report, "ratios"), "open_close_to_unix_socket"), &death = at(report, "death_us");
    add_latency(table, at(report, "open_close_us"), "open + close, warm", times(warm),
                verdict(warm, kOpenCloseBound, true, "≤ 4× unix socket"));
    add_latency(table, death, "a worker's death to the last of 1,000 answers", "",
                verdict(at(death, "p99"), kDeathBoundUs, true, "p99 < 10 ms"));
    add_latency(table, at(report, "cold_start_us"), "from nothing to the first answer");
    return table.text();
}

std::string pipelined(const Json &report) {
    const Json &rate = at(report, "pipelined_per_s");
    return "pipelined, one thread, " + number(at(report, "pipelined_depth")) + " deep: " + number(rate) +
           " a second  " + verdict(rate, kPipelinedBound, false, "≥ 3 M") + "\n";
}

std::string machine(const Json &report) {
    const Json &machine = at(report, "machine"), &load = at(machine, "load");
    return dump(at(machine, "allowed_cpus")) + " of " + dump(at(machine, "cpus")) + " CPUs, " +
           at(machine, "cpu").get<std::string>() + ", Linux " + at(machine, "kernel").get<std::string>() + ", load " +
           (load.is_array() ? printed("%.2f", load[0].get<double>()) : "-") + "; " +
           printed("%.1f s", at(report, "elapsed_s").get<double>()) + "\n";
}

} // namespace

std::string report_text(const Json &report) {
    return machine(report) + "\n" + latencies(report) + "\n" + pipelined(report) + "\n" + bandwidth(report) + "\n" +
           lifecycle(report) + "\n" + one_cpu(report);
}

} // namespace berth::cli
