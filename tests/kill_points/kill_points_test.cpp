// Every kill point, everybody that can be killed or stopped there. Each case runs in a process of its own, a few at a
// time. One alone: BERTH_KILL_CASE=host.opened:kill:worker kill-points --no-skip --test-case='one case'
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <doctest/doctest.h>
#include <mutex>
#include <set>
#include <thread>

#include "case_run.h"
#include "leak_check.h"
#include "points.h"
#include "processes.h"
#include "program.h"

using namespace berth::test;

namespace {

constexpr unsigned kAtOnce = 4; // they wait more than they work
constexpr size_t kSlowest = 20; // are told

struct Outcome {
    std::string name;
    bool good = false;
    long ms = 0;
    std::string said;
};

Outcome run_alone(const Case &what) {
    auto began = std::chrono::steady_clock::now();
    // A case has a mark of its own, and its own processes by it.
    Ran ran = run_program({"/proc/self/exe", "--no-skip", "--test-case=one case"},
                          {{"BERTH_KILL_CASE", what.name()}, {"BERTH_TEST_MARK", ""}});
    auto took = std::chrono::steady_clock::now() - began;
    bool ran_one = ran.out.find("1 passed | 0 failed") != std::string::npos;
    return {what.name(), ran.status == 0 && ran_one,
            std::chrono::duration_cast<std::chrono::milliseconds>(took).count(), ran.out + ran.err};
}

// Those whose name has the text in BERTH_KILL_CASES; all when there is none.
std::vector<Case> wanted_cases() {
    const char *only = std::getenv("BERTH_KILL_CASES");
    auto cases = all_cases();
    if (only)
        std::erase_if(cases, [&](const Case &one) { return one.name().find(only) == std::string::npos; });
    return cases;
}

std::vector<Outcome> run_all(const std::vector<Case> &cases) {
    std::vector<Outcome> outcomes(cases.size());
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kAtOnce; i++)
        threads.emplace_back([&] {
            for (size_t at; (at = next++) < cases.size();)
                outcomes[at] = run_alone(cases[at]);
        });
    for (auto &thread : threads)
        thread.join();
    return outcomes;
}

} // namespace

TEST_CASE("the table has the points of the sources, each once, and all six phases") {
    auto places = all_places();
    auto table = names_of(places);
    auto sources = points_in_sources(BERTH_SOURCE_DIR);
    for (const auto &name : table)
        CHECK_MESSAGE(sources.count(name) == 1, name << " is in the sources " << sources.count(name) << " times");
    for (const auto &name : sources)
        CHECK_MESSAGE(table.contains(name), name << " is not in the table");
    std::set<std::string> phases;
    for (const auto &place : places)
        phases.insert(place.phase);
    CHECK(phases == std::set<std::string>{"spawn", "hand-over", "call", "event", "recycle", "re-attach"});
}

TEST_CASE("at every kill point: each request has one answer, in bounded time, nothing is left, the next open works") {
    auto cases = wanted_cases();
    auto began = std::chrono::steady_clock::now();
    auto outcomes = run_all(cases);
    for (const auto &outcome : outcomes)
        CHECK_MESSAGE(outcome.good, outcome.name << " (" << outcome.ms << " ms)\n" << outcome.said);
    auto took = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began);
    std::printf("kill points: %zu points, %zu cases\n", names_of(all_places()).size(), cases.size());
    std::printf("%ld s; the slowest:\n", static_cast<long>(took.count()));
    std::sort(outcomes.begin(), outcomes.end(), [](const auto &a, const auto &b) { return a.ms > b.ms; });
    for (size_t i = 0; i < std::min(kSlowest, outcomes.size()); i++)
        std::printf("  %5ld ms %s\n", outcomes[i].ms, outcomes[i].name.c_str());
}

TEST_CASE_FIXTURE(LeakChecked, "one case" * doctest::skip()) {
    auto name = needed_variable("BERTH_KILL_CASE");
    for (const auto &what : all_cases())
        if (what.name() == name)
            return CaseRun(what).run();
    FAIL("no case " << name);
}
