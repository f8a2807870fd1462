// `berth bench`: every row a little, round after round, so that a machine that drifts does so for all of them alike.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "answer.h"
#include "bench/calls.h"
#include "bench/death.h"
#include "bench/limits.h"
#include "bench/plan.h"
#include "bench/plot.h"
#include "bench/report.h"
#include "commands.h"

namespace berth::cli {
namespace {

struct Limits { // made before libberth is used: they fork
    std::unique_ptr<Limit> spin = make_spin_limit(), futex = make_futex_limit();
    std::unique_ptr<SocketLimit> socket = make_socket_limit();
    std::unique_ptr<MemcpyLimit> memcpy = make_memcpy_limit();
};

void latency_rows(const Plan &plan, Limits &limits, Echo &echo, Results &results) {
    limits.spin->back_to_back(results.limit_spin, plan.row_ns);
    echo.back_to_back(results.call_hot, plan.row_ns);
    limits.socket->back_to_back(results.unix_socket, plan.row_ns);
    limits.futex->back_to_back(results.limit_futex, plan.row_ns);
    limits.futex->paced(results.limit_futex_paced, plan.paced_samples, plan.pause_ns);
    echo.paced(results.call_asleep, plan.paced_samples, plan.pause_ns);
}

void throughput_rows(const Plan &plan, Limits &limits, Echo &echo, Results &results) {
    for (int depth : kDepths)
        results.pipelined_per_s[depth].push_back(echo.pipelined_per_s(depth, plan.pipelined_ns));
    for (size_t size : kPayloadSizes) {
        results.memcpy[size].push_back(limits.memcpy->mb_s(size, plan.memcpy_ns));
        results.memcpy_local[size].push_back(memcpy_local_mb_s(size, plan.memcpy_ns / 4));
        results.bandwidth[size].push_back(echo.bandwidth_mb_s(size, plan.bandwidth_ns));
    }
}

void lifecycle_rows(const Plan &plan, const ConnectOptions &connect, Echo &echo, Results &results) {
    echo.open_close(); // brings a second worker up
    for (int i = 0; i < plan.open_close_samples; i++) {
        uint64_t started = now_ns();
        echo.open_close();
        results.open_close.add(now_ns() - started);
    }
    for (int i = 0; i < plan.deaths; i++)
        results.death.add(death_ns(echo.client()));
    for (int i = 0; i < plan.cold_starts; i++)
        results.cold_start.add(cold_start_ns(connect));
}

Results measure(const Plan &plan, const ConnectOptions &connect) {
    Results results;
    uint64_t started = now_ns();
    results.machine = describe_machine(); // first: the load is not ours yet
    results.one_cpu = measure_one_cpu(plan, connect);
    Limits limits;
    Echo echo(connect);
    for (int round = 0; round < plan.rounds; round++) {
        latency_rows(plan, limits, echo, results);
        throughput_rows(plan, limits, echo, results);
        lifecycle_rows(plan, connect, echo, results);
    }
    results.elapsed_ns = now_ns() - started;
    return results;
}

bool write_file(const std::string &name, const std::string &text) {
    FILE *file = fopen(name.c_str(), "we");
    bool written = file && fputs(text.c_str(), file) >= 0;
    if (file && fclose(file) != 0)
        written = false;
    if (!written)
        fprintf(stderr, "berth: %s: %s\n", name.c_str(), strerror(errno));
    return written;
}

int report(const BenchOptions &options, const Results &results) {
    Json json = report_json(results);
    fputs((options.json ? dump(json, 2) + "\n" : report_text(json)).c_str(), stdout);
    if (!options.plot.empty() && !write_file(options.plot, plot_of(results)))
        return kExitUsage;
    return kExitOk;
}

} // namespace

Plan Plan::quick() {
    Plan plan;
    plan.rounds = 3;
    plan.row_ns = 60 * kMillisecond;
    plan.paced_samples = 40;
    plan.pipelined_ns = 100 * kMillisecond;
    plan.bandwidth_ns = 20 * kMillisecond;
    plan.memcpy_ns = 10 * kMillisecond;
    plan.open_close_samples = 50;
    plan.deaths = 5;
    plan.one_cpu_rounds = 3;
    plan.one_cpu_ns = 40 * kMillisecond;
    return plan;
}

int run_bench(const BenchOptions &options) {
    try {
        return report(options, measure(options.quick ? Plan::quick() : Plan(), options.connect));
    } catch (const BenchFailure &failure) {
        fprintf(stderr, "berth: bench: %s\n", failure.what());
        return exit_code_of(failure.ret);
    } catch (const std::exception &e) {
        fprintf(stderr, "berth: bench: %s\n", e.what());
        return kExitUnavailable;
    }
}

} // namespace berth::cli
