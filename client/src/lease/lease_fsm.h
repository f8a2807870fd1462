// clang-format off
/* The states of a context as its host sees it, and what leads from one to the next. Pure.
 *
 *   from         event      to
 *   Opening      Created    Active
 *                Ended      Ending      the open was refused, `create` failed, the worker died, or the bound has passed
 *                Paused     Pausing     the same to a context that is to come back (BERTH_RESTART)
 *                Close      Closing
 *   Active       Ended      Ending      the worker died, or broke the protocol
 *                Paused     Pausing
 *                Close      Closing
 *   Closing      Ended      Recycling   CLOSED came, the worker died, or the bound has passed
 *   Recycling    Settled    Closed      every request has its answer
 *   Ending       Settled    Lost        … or Closed, when it was never created: there is no handle to close
 *   Pausing      Settled    Paused
 *   Paused       Restart    Opening     on another worker
 *                Ended      Lost        the restart could not be begun
 *                Close      Closed
 *   Lost         Close      Closed
 *   Closed       Reaped     Over        nothing is left for berth_reap: the handle ends
 *
 * Opened and Created are facts that come in either order, and in any state; a table row asks for a fact only where its
 * outcome hangs on it. Created changes nothing later than Opening (the answer to `create` may cross a close or a
 * death). Requests are accepted in Opening and Active. A verdict stands from Ending, Pausing and Recycling on. */
// clang-format on
#ifndef BERTH_LEASE_FSM_H
#define BERTH_LEASE_FSM_H

#include <stdint.h>

enum lease_state {
    LEASE_OPENING,
    LEASE_ACTIVE,
    LEASE_CLOSING,
    LEASE_RECYCLING,
    LEASE_ENDING,
    LEASE_PAUSING,
    LEASE_PAUSED,
    LEASE_LOST,
    LEASE_CLOSED,
    LEASE_OVER,
    LEASE_STATE_COUNT
};

enum lease_event {
    LEASE_CREATED,
    LEASE_ENDED,
    LEASE_PAUSE,
    LEASE_CLOSE,
    LEASE_SETTLED,
    LEASE_RESTART,
    LEASE_REAPED,
    LEASE_EVENT_COUNT
};

enum lease_fact {
    LEASE_HAS_WORKER = 1, /* OPENED has come; gone again with a restart */
    LEASE_HAS_HANDLE = 2, /* `create` went well once, or there was none to go wrong: the host has, or gets, a handle */
    LEASE_HAS_UNSEEN_WORKER = 4 /* OPENED has come, and no descriptor to see that worker's death by */
};

/* The state after `event` in `state`, or -1 when there is no such transition. */
int lease_fsm_next(uint32_t state, uint32_t facts, enum lease_event event);

#endif
