#include <doctest/doctest.h>

#include "spin.h"

namespace {
berth_spin fresh(uint32_t allowed) {
    berth_spin spin;
    berth_spin_init(&spin);
    spin.allowed = allowed;
    return spin;
}
} // namespace

TEST_CASE("a process on one CPU never spins") {
    berth_spin spin = fresh(0);
    for (int i = 0; i < 100; i++)
        berth_spin_learn(&spin, 100);
    CHECK(berth_spin_budget(&spin) == 0);
}

TEST_CASE("spinning is allowed just where more than one CPU is") {
    cpu_set_t before, one;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    berth_spin spin;
    berth_spin_init(&spin);
    CHECK(spin.allowed == (CPU_COUNT(&before) > 1 ? 1 : 0));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    berth_spin_init(&spin);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
    CHECK(spin.allowed == 0);
}

TEST_CASE("short gaps earn a budget, bounded by the limit") {
    berth_spin spin = fresh(1);
    for (int i = 0; i < 100; i++)
        berth_spin_learn(&spin, 1000);
    CHECK(berth_spin_budget(&spin) > 1000);
    CHECK(berth_spin_budget(&spin) < BERTH_SPIN_LIMIT_NS / 5);
    for (int i = 0; i < 100; i++)
        berth_spin_learn(&spin, BERTH_SPIN_LIMIT_NS - 1000);
    CHECK(berth_spin_budget(&spin) == BERTH_SPIN_LIMIT_NS);
}

TEST_CASE("long gaps end the spinning, and short ones bring it back") {
    berth_spin spin = fresh(1);
    for (int i = 0; i < 10; i++)
        berth_spin_learn(&spin, UINT64_MAX);
    CHECK(berth_spin_budget(&spin) == 0);
    CHECK(spin.gap_ns <= 2 * BERTH_SPIN_LIMIT_NS);
    int needed = 0;
    while (berth_spin_budget(&spin) == 0 && needed < 100) {
        berth_spin_learn(&spin, 0);
        needed++;
    }
    CHECK(needed < 12);
}

TEST_CASE("the clocked phase ends by its budget") {
    berth_spin spin = fresh(1);
    for (int i = 0; i < 100; i++)
        berth_spin_learn(&spin, 2000);
    berth_spin_turn turn;
    berth_spin_begin(&spin, &turn);
    CHECK(turn.until - turn.started == berth_spin_budget(&spin));
    while (berth_spin_again(&spin, &turn)) {
    }
    CHECK(berth_now_ns() - turn.started < 1000000000u);

    berth_spin none = fresh(0);
    berth_spin_begin(&none, &turn);
    CHECK_FALSE(berth_spin_again(&none, &turn));
}
