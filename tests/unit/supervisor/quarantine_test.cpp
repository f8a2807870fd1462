#include "supervisor/quarantine.h"

#include <doctest/doctest.h>

using namespace berth;

namespace {

constexpr Quarantine::Policy kThree{3, 10'000, 50'000};

struct Step {
    enum What { Crash, Well, Reset } what;
    uint64_t at;
    bool begins;     // the quarantine, with this step
    uint64_t wait;   // after it
    size_t crashes;
};

void check(const Quarantine::Policy &policy, std::initializer_list<Step> steps) {
    Quarantine quarantine;
    size_t number = 0;
    for (const auto &step : steps) {
        CAPTURE(number);
        number++;
        bool began = false;
        if (step.what == Step::Crash)
            began = quarantine.crashed(step.at, policy, "signal 11");
        else if (step.what == Step::Well)
            quarantine.served_well(step.at);
        else
            quarantine.reset();
        CHECK(began == step.begins);
        CHECK(quarantine.wait_ms(step.at) == step.wait);
        CHECK(quarantine.crashes(step.at) == step.crashes);
        CHECK(quarantine.holds(step.at) == (step.wait > Backoff::kMostMs));
    }
}

} // namespace

TEST_CASE("the first crash costs nothing, the next ones a wait, the third the quarantine") {
    check(kThree, {{Step::Crash, 1000, false, 0, 1},
                   {Step::Crash, 1200, false, 100, 2},
                   {Step::Crash, 1400, true, 50'000, 3}});
}

TEST_CASE("further crashes in quarantine do not make it longer") {
    check(kThree, {{Step::Crash, 0, false, 0, 1},
                   {Step::Crash, 0, false, 100, 2},
                   {Step::Crash, 0, true, 50'000, 3},
                   {Step::Crash, 4000, false, 46'000, 4}});
}

TEST_CASE("a context that was served well ends a row, but no quarantine") {
    check(kThree, {{Step::Crash, 0, false, 0, 1},
                   {Step::Crash, 10, false, 100, 2},
                   {Step::Well, 20, false, 0, 0},
                   {Step::Crash, 30, false, 0, 1},
                   {Step::Crash, 40, false, 100, 2},
                   {Step::Crash, 50, true, 50'000, 3},
                   {Step::Well, 60, false, 49'990, 3}});
}

TEST_CASE("crashes older than the window do not count, and a pause as long as it ends the row") {
    check(kThree, {{Step::Crash, 0, false, 0, 1},
                   {Step::Crash, 9000, false, 100, 2},
                   {Step::Crash, 10'000, false, 200, 2},
                   {Step::Crash, 20'000, false, 0, 1}});
}

TEST_CASE("a quarantine ends by its time or by a reset, and then all starts anew") {
    check(kThree, {{Step::Crash, 0, false, 0, 1},
                   {Step::Crash, 0, false, 100, 2},
                   {Step::Crash, 0, true, 50'000, 3},
                   {Step::Well, 50'000, false, 0, 0},
                   {Step::Crash, 50'000, false, 0, 1},
                   {Step::Crash, 50'001, false, 100, 2},
                   {Step::Crash, 50'002, true, 50'000, 3},
                   {Step::Reset, 50'003, false, 0, 0},
                   {Step::Crash, 50'004, false, 0, 1}});
}

TEST_CASE("the wait of a quarantine that has passed is nothing, also before anybody looks at it") {
    Quarantine quarantine;
    for (int i = 0; i < 3; i++)
        quarantine.crashed(0, kThree, "signal 6");
    CHECK(quarantine.how() == "signal 6");
    CHECK(quarantine.wait_ms(49'999) == 1);
    CHECK(quarantine.wait_ms(50'000) == 0);
    CHECK(quarantine.crashes(50'000) == 0);
    CHECK_FALSE(quarantine.crashed(50'000, kThree, "signal 6"));
}

TEST_CASE("after = 0: waits up to 10 s, and never a quarantine") {
    Quarantine quarantine;
    uint64_t longest = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        CHECK_FALSE(quarantine.crashed(i, {0, 60'000, 600'000}, "signal 11"));
        longest = std::max(longest, quarantine.wait_ms(i));
    }
    CHECK(longest == 10'000);
    CHECK(quarantine.crashes(3000) == Quarantine::kMostRemembered);
}

TEST_CASE("after = 1: the first crash is one too many") {
    Quarantine quarantine;
    CHECK(quarantine.crashed(5, {1, 60'000, 600'000}, "signal 11"));
    CHECK(quarantine.holds(5));
}
