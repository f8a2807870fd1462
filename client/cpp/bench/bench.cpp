// What a call costs from C++, in turns with the same call in C on the same context: 64 bytes there and back, hot and
// after pauses; calls a second from 1, 8 and 64 threads; allocations. JSON, no verdict.
//
//   bench [--quick]
#include <berth/berth.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

extern "C" void *__libc_malloc(std::size_t size);

namespace {

std::atomic<std::uint64_t> allocations{0};

} // namespace

// libberth's are counted too: within this program there is no other malloc.
extern "C" void *malloc(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_malloc(size);
}

namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::nanoseconds;
using Call = std::function<void()>;

struct Plan {
    int rounds = 5, turns = 10, paced = 150;
    Nanoseconds row = std::chrono::milliseconds(300), pause = std::chrono::microseconds(1500);
};

constexpr int kAtOnce[] = {1, 8, 64};
constexpr int kWarmUp = 12; // after so many long gaps an adaptive spinner has given up spinning
const char kRequest[64] = {'B'};

struct Row {
    std::vector<double> hot, asleep, rates[3];
    std::uint64_t allocated = 0, counted = 0;
};

[[noreturn]] void fail(const std::string &what) {
    fprintf(stderr, "bench: %s\n", what.c_str());
    exit(1);
}

template <class T> T must(berth::Result<T> result) {
    if (!result)
        fail(result.error().message());
    return std::move(*result);
}

double ns_since(Clock::time_point began) {
    return std::chrono::duration<double, std::nano>(Clock::now() - began).count();
}

void back_to_back(Row &row, const Call &call, Nanoseconds duration) {
    for (int i = 0; i < 256; i++)
        call();
    row.hot.reserve(row.hot.size() + 1000000);
    auto first = row.hot.size();
    auto allocated = allocations.load();
    for (auto began = Clock::now(), last = began; last - began < duration && row.hot.size() < first + 1000000;) {
        call();
        auto now = Clock::now();
        row.hot.push_back(std::chrono::duration<double, std::nano>(now - last).count());
        last = now;
    }
    row.allocated += allocations.load() - allocated;
    row.counted += row.hot.size() - first;
}

void paced(Row &row, const Call &call, const Plan &plan) {
    for (int i = 0; i < plan.paced + kWarmUp; i++) {
        std::this_thread::sleep_for(plan.pause);
        auto began = Clock::now();
        call();
        if (i >= kWarmUp)
            row.asleep.push_back(ns_since(began));
    }
}

double calls_per_s(const Call &call, int at_once, Nanoseconds duration) {
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> calls{0};
    std::vector<std::thread> threads;
    auto began = Clock::now();
    for (int i = 0; i < at_once; i++)
        threads.emplace_back([&] {
            std::uint64_t mine = 0;
            for (; !stop.load(std::memory_order_relaxed); mine++)
                call();
            calls += mine;
        });
    std::this_thread::sleep_for(duration);
    stop = true;
    for (auto &thread : threads)
        thread.join();
    return static_cast<double>(calls) / ns_since(began) * 1e9;
}

double quantile(std::vector<double> values, double q) {
    if (values.empty())
        return 0;
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

void print(const char *name, const Row &row, const char *after) {
    printf("  \"%s\": {\"p50_ns\": %.0f, \"p99_ns\": %.0f, \"asleep_p50_ns\": %.0f, \"asleep_p99_ns\": %.0f,\n"
           "    \"calls_per_s\": {\"1\": %.0f, \"8\": %.0f, \"64\": %.0f}, \"allocs_per_call\": %.2f}%s\n",
           name, quantile(row.hot, 0.5), quantile(row.hot, 0.99), quantile(row.asleep, 0.5), quantile(row.asleep, 0.99),
           quantile(row.rates[0], 0.5), quantile(row.rates[1], 0.5), quantile(row.rates[2], 0.5),
           row.counted ? static_cast<double>(row.allocated) / static_cast<double>(row.counted) : 0, after);
}

} // namespace

int main(int argc, char **argv) {
    Plan plan;
    if (argc > 1 && !strcmp(argv[1], "--quick")) {
        plan.rounds = 2;
        plan.paced = 30;
        plan.row = std::chrono::milliseconds(80);
    }
    auto client = must(berth::Client::connect());
    auto echo = must(client.open("echo")), slow = must(client.open("echo")); // one learns from pauses alone
    auto method = must(echo.method("echo"));
    berth::Bytes request{kRequest, sizeof kRequest};
    auto in_cpp = [&](const berth::Context &context) {
        if (must(context.call(method, request, berth::kForever)).size() != sizeof kRequest)
            fail("an echo of another length");
    };
    auto in_c = [&](const berth::Context &context) {
        berth_reply reply;
        int ret = berth_call(context.handle(), method.id, kRequest, sizeof kRequest, -1, &reply);
        bool whole = reply.len == sizeof kRequest;
        berth_reply_free(&reply);
        if (ret != BERTH_RET_OK || !whole)
            fail(berth_ret_name(ret));
    };
    Row c, cpp;
    for (int round = 0; round < plan.rounds; round++) {
        for (int turn = 0; turn < plan.turns; turn++) {
            back_to_back(c, [&] { in_c(echo); }, plan.row / plan.turns);
            back_to_back(cpp, [&] { in_cpp(echo); }, plan.row / plan.turns);
        }
        paced(c, [&] { in_c(slow); }, plan);
        paced(cpp, [&] { in_cpp(slow); }, plan);
        for (int i = 0; i < 3; i++) {
            c.rates[i].push_back(calls_per_s([&] { in_c(echo); }, kAtOnce[i], plan.row));
            cpp.rates[i].push_back(calls_per_s([&] { in_cpp(echo); }, kAtOnce[i], plan.row));
        }
    }
    puts("{");
    print("c", c, ",");
    print("cpp", cpp, "");
    puts("}");
    return 0;
}
