extern "C" {
#include "context_fsm.h"
}

#include <doctest/doctest.h>

namespace {

constexpr int kNo = -1;
constexpr int O = CONTEXT_OPENING, A = CONTEXT_ACTIVE, P = CONTEXT_RECYCLE_PENDING, R = CONTEXT_RECYCLING,
              L = CONTEXT_LOST, C = CONTEXT_CLOSED;

// Rows in the order of states, columns Created, Ended, Close, Settled, Restart, Abandon.
constexpr int kTable[CONTEXT_STATE_COUNT][CONTEXT_EVENT_COUNT] = {
    /* Opening        */ {A, L, P, kNo, kNo, kNo},
    /* Active         */ {A, L, P, kNo, kNo, kNo},
    /* RecyclePending */ {P, R, kNo, kNo, kNo, kNo},
    /* Recycling      */ {R, R, kNo, C, kNo, kNo},
    /* Lost           */ {L, L, C, L, O, C},
    /* Closed         */ {C, C, kNo, C, kNo, kNo},
};

} // namespace

TEST_CASE("a context moves as its table says, for every pair of state and event") {
    for (uint32_t state = 0; state < CONTEXT_STATE_COUNT; state++)
        for (int event = 0; event < CONTEXT_EVENT_COUNT; event++) {
            CAPTURE(state);
            CAPTURE(event);
            CHECK(context_fsm_next(state, static_cast<context_event>(event)) == kTable[state][event]);
        }
    CHECK(context_fsm_next(CONTEXT_STATE_COUNT, CONTEXT_CLOSE) == kNo);
    CHECK(context_fsm_next(CONTEXT_ACTIVE, CONTEXT_EVENT_COUNT) == kNo);
}

TEST_CASE("a closed context stays closed, whatever comes late") {
    for (int event = 0; event < CONTEXT_EVENT_COUNT; event++) {
        int next = context_fsm_next(CONTEXT_CLOSED, static_cast<context_event>(event));
        CHECK((next == kNo || next == CONTEXT_CLOSED));
    }
}
