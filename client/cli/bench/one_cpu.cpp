// Host, supervisor and worker on one CPU, beside a unix socket on the same CPU. In a child: affinity is inherited by
// what it starts, and the rest of the bench keeps all CPUs.
#include <algorithm>
#include <fcntl.h>
#include <sched.h>

#include "base/unique_fd.h"
#include "bench/calls.h"
#include "bench/child.h"
#include "bench/limits.h"
#include "bench/plan.h"

namespace berth::cli {
namespace {

void confine_to_one_cpu() {
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        throw std::runtime_error("sched_getaffinity failed");
    int cpu = CPU_SETSIZE - 1; // the last: the first serves more interrupts
    while (!CPU_ISSET(cpu, &allowed))
        cpu--;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        throw std::runtime_error("sched_setaffinity failed");
}

double best_median(const std::map<int, std::vector<double>> &by_depth) {
    double best = 0;
    for (const auto &[depth, rates] : by_depth)
        best = std::max(best, median(rates));
    return best;
}

Json latency(const Histogram &samples) { return {{"p50", samples.percentile(0.5)}, {"p99", samples.percentile(0.99)}}; }

Json measure(const Plan &plan, ConnectOptions options) {
    confine_to_one_cpu();
    auto socket = make_socket_limit();
    options.force_private = true; // so that supervisor and worker are our children and inherit the CPU
    options.socket.clear();
    Echo echo(options);
    Histogram call, unix_socket;
    std::map<int, std::vector<double>> pipelined, socket_pipelined;
    for (int round = 0; round < plan.one_cpu_rounds; round++) {
        socket->back_to_back(unix_socket, plan.one_cpu_ns);
        echo.back_to_back(call, plan.one_cpu_ns);
        for (int depth : kDepths) {
            socket_pipelined[depth].push_back(socket->pipelined_per_s(depth, plan.one_cpu_ns / 2));
            pipelined[depth].push_back(echo.pipelined_per_s(depth, plan.one_cpu_ns / 2));
        }
    }
    double ours = best_median(pipelined), theirs = best_median(socket_pipelined);
    return {{"call_ns", latency(call)},
            {"unix_socket_ns", latency(unix_socket)},
            {"ratio", static_cast<double>(call.percentile(0.5)) / static_cast<double>(unix_socket.percentile(0.5))},
            {"pipelined_per_s", ours},
            {"unix_socket_pipelined_per_s", theirs},
            {"pipelined_ratio", ours / theirs}};
}

void write_all(int fd, const std::string &text) {
    for (size_t done = 0; done < text.size();) {
        ssize_t count = write(fd, text.data() + done, text.size() - done);
        if (count <= 0)
            return;
        done += static_cast<size_t>(count);
    }
}

std::string read_all(int fd) {
    std::string text;
    char part[4096];
    for (ssize_t count; (count = read(fd, part, sizeof part)) > 0;)
        text.append(part, static_cast<size_t>(count));
    return text;
}

std::string measured_or_error(const Plan &plan, const ConnectOptions &options) {
    try {
        return dump(measure(plan, options));
    } catch (const std::exception &e) {
        return dump(Json{{"error", e.what()}});
    }
}

} // namespace

Json measure_one_cpu(const Plan &plan, const ConnectOptions &options) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return {{"error", "no pipe"}};
    UniqueFd reader(fds[0]), writer(fds[1]);
    Child child([&] { write_all(writer.get(), measured_or_error(plan, options)); });
    writer.reset();
    auto json = parse_json(read_all(reader.get()));
    return json ? std::move(*json) : Json{{"error", "the confined process died"}};
}

} // namespace berth::cli
