#include "supervisor/worker_fsm.h"

#include <doctest/doctest.h>
#include <string>
#include <vector>

using namespace berth;
using S = WorkerState;
using E = WorkerEvent;
using A = WorkerAction;

namespace {

constexpr uint64_t kBound = 1000;

// How a fresh machine gets to a state.
std::vector<E> way_to(S state) {
    switch (state) {
    case S::Idle:
        return {E::Ready};
    case S::Leased:
        return {E::Ready, E::Lease};
    case S::Draining:
        return {E::Ready, E::Lease, E::Closing};
    case S::Recycling:
        return {E::Ready, E::Lease, E::Closing, E::TeardownBegan};
    case S::Retiring:
        return {E::Ready, E::Retire};
    case S::Dead:
        return {E::Exited};
    default:
        return {};
    }
}

WorkerFsm machine_in(S state, uint64_t now) {
    WorkerFsm fsm(now, kBound);
    for (E event : way_to(state))
        REQUIRE(fsm.handle(event, now, kBound) != A::Illegal);
    REQUIRE(fsm.state() == state);
    return fsm;
}

struct Expected {
    S to;
    A action;
};
constexpr Expected kNo{S::Dead, A::Illegal};
constexpr Expected to(S state, A action = A::Nothing) { return {state, action}; }

// Columns in the order of WorkerEvent.
struct Row {
    S from;
    Expected by[kWorkerEventCount];
};
const Row kTable[] = {
    {S::Spawning,
     {to(S::Idle), to(S::Retiring), kNo, kNo, kNo, kNo, kNo, kNo, to(S::Retiring, A::SendRetire), kNo, to(S::Retiring),
      to(S::Retiring, A::Kill), to(S::Retiring, A::Kill), to(S::Dead)}},
    {S::Idle,
     {kNo, kNo, to(S::Leased), kNo, kNo, kNo, kNo, kNo, to(S::Retiring, A::SendRetire), kNo, to(S::Retiring),
      to(S::Retiring, A::Kill), kNo, to(S::Dead)}},
    {S::Leased,
     {kNo, kNo, kNo, to(S::Draining), to(S::Draining, A::SendRecycle), to(S::Recycling), to(S::Idle),
      to(S::Retiring, A::SendRetire), kNo, to(S::Retiring), to(S::Retiring), to(S::Retiring, A::Kill), kNo,
      to(S::Dead)}},
    {S::Draining,
     {kNo, kNo, kNo, to(S::Draining), to(S::Draining, A::SendRecycle), to(S::Recycling), to(S::Idle),
      to(S::Retiring, A::SendRetire), kNo, to(S::Retiring), to(S::Retiring), to(S::Retiring, A::Kill),
      to(S::Retiring, A::Kill), to(S::Dead)}},
    {S::Recycling,
     {kNo, kNo, kNo, to(S::Recycling), to(S::Recycling), kNo, to(S::Idle), to(S::Retiring, A::SendRetire), kNo,
      to(S::Retiring), to(S::Retiring), to(S::Retiring, A::Kill), to(S::Retiring, A::Kill), to(S::Dead)}},
    {S::Retiring,
     {to(S::Retiring), to(S::Retiring), kNo, to(S::Retiring), to(S::Retiring), to(S::Retiring), to(S::Retiring),
      to(S::Retiring), to(S::Retiring), to(S::Retiring), to(S::Retiring), to(S::Retiring, A::Kill),
      to(S::Retiring, A::Kill), to(S::Dead)}},
    {S::Dead, {kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo}},
};

} // namespace

TEST_CASE("every pair of state and event does what the table says") {
    for (const auto &row : kTable)
        for (int e = 0; e < kWorkerEventCount; e++) {
            auto event = static_cast<E>(e);
            CAPTURE(std::string(name_of(row.from)));
            CAPTURE(std::string(name_of(event)));
            auto fsm = machine_in(row.from, 5);
            auto deadline = fsm.deadline_ms();
            const auto &expected = row.by[e];
            CHECK(fsm.handle(event, 10, kBound) == expected.action);
            bool illegal = expected.action == A::Illegal;
            CHECK(fsm.state() == (illegal ? row.from : expected.to));
            CHECK(fsm.since_ms() == (fsm.state() == row.from ? 5 : 10));
            if (illegal)
                CHECK(fsm.deadline_ms() == deadline);
        }
}

TEST_CASE("states that must end have a deadline, the others none") {
    CHECK(machine_in(S::Spawning, 5).deadline_ms() == 1005);
    CHECK_FALSE(machine_in(S::Idle, 5).deadline_ms());
    CHECK_FALSE(machine_in(S::Leased, 5).deadline_ms());
    CHECK(machine_in(S::Draining, 5).deadline_ms() == 1005);
    CHECK(machine_in(S::Retiring, 5).deadline_ms() == 1005);
    CHECK_FALSE(machine_in(S::Dead, 5).deadline_ms());
}

TEST_CASE("of two bounds on one state the earlier holds, and no bound adds none") {
    auto fsm = machine_in(S::Draining, 0);
    fsm.handle(E::Recall, 100, 50'000);
    CHECK(fsm.deadline_ms() == kBound);
    fsm.handle(E::Recall, 100, 500);
    CHECK(fsm.deadline_ms() == 600);
    fsm.handle(E::Closing, 100);
    CHECK(fsm.deadline_ms() == 600);
}

TEST_CASE("after a kill nothing but the exit is awaited") {
    auto fsm = machine_in(S::Draining, 0);
    CHECK(fsm.handle(E::TimeUp, kBound) == A::Kill);
    CHECK_FALSE(fsm.deadline_ms());
    CHECK(fsm.handle(E::Recycled, kBound + 1) == A::Nothing);
    CHECK(fsm.state() == S::Retiring);
    CHECK_FALSE(fsm.deadline_ms());
    CHECK(fsm.handle(E::Exited, kBound + 2) == A::Nothing);
    CHECK(fsm.state() == S::Dead);
}
