extern "C" {
#include "lease/lease_fsm.h"
}

#include <initializer_list>

#include <doctest/doctest.h>

namespace {

constexpr int kNo = -1;
constexpr int O = LEASE_OPENING, A = LEASE_ACTIVE, C = LEASE_CLOSING, R = LEASE_RECYCLING, E = LEASE_ENDING,
              P = LEASE_PAUSING, W = LEASE_PAUSED, L = LEASE_LOST, X = LEASE_CLOSED, V = LEASE_OVER;

// Rows in the order of states, columns Created, Ended, Pause, Close, Settled, Restart, Reaped.
constexpr int kTable[LEASE_STATE_COUNT][LEASE_EVENT_COUNT] = {
    /* Opening   */ {A, E, P, C, kNo, kNo, kNo},
    /* Active    */ {A, E, P, C, kNo, kNo, kNo},
    /* Closing   */ {C, R, R, kNo, kNo, kNo, kNo},
    /* Recycling */ {R, R, R, kNo, X, kNo, kNo},
    /* Ending    */ {E, E, E, kNo, L, kNo, kNo},
    /* Pausing   */ {P, P, P, kNo, W, kNo, kNo},
    /* Paused    */ {W, L, W, X, kNo, O, kNo},
    /* Lost      */ {L, L, L, X, kNo, kNo, kNo},
    /* Closed    */ {X, X, X, kNo, kNo, kNo, V},
    /* Over      */ {V, V, V, kNo, kNo, kNo, kNo},
};

} // namespace

TEST_CASE("a lease moves as its table says, for every state, event and set of facts") {
    for (uint32_t state = 0; state < LEASE_STATE_COUNT; state++)
        for (int event = 0; event < LEASE_EVENT_COUNT; event++)
            for (uint32_t facts = 0; facts < 4; facts++) {
                CAPTURE(state);
                CAPTURE(event);
                CAPTURE(facts);
                bool never_created = state == LEASE_ENDING && event == LEASE_SETTLED && !(facts & LEASE_HAS_HANDLE);
                CHECK(lease_fsm_next(state, facts, static_cast<lease_event>(event)) ==
                      (never_created ? X : kTable[state][event]));
            }
    CHECK(lease_fsm_next(LEASE_STATE_COUNT, 0, LEASE_CLOSE) == kNo);
    CHECK(lease_fsm_next(LEASE_ACTIVE, 0, LEASE_EVENT_COUNT) == kNo);
}

TEST_CASE("a closed lease is only ever over, whatever comes late") {
    for (uint32_t state : {static_cast<uint32_t>(LEASE_CLOSED), static_cast<uint32_t>(LEASE_OVER)})
        for (int event = 0; event < LEASE_EVENT_COUNT; event++) {
            int next = lease_fsm_next(state, LEASE_HAS_HANDLE, static_cast<lease_event>(event));
            CHECK((next == kNo || next == X || next == V));
        }
}

TEST_CASE("a verdict is never taken back but by a restart") {
    for (uint32_t state : {E, P, R, W, L, X, V})
        for (int event = 0; event < LEASE_EVENT_COUNT; event++)
            if (event != LEASE_RESTART) {
                int next = lease_fsm_next(state, LEASE_HAS_HANDLE, static_cast<lease_event>(event));
                CHECK((next != O && next != A && next != C));
            }
}
