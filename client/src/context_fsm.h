/* The states of a context as its host sees it, and what leads from one to the next. Pure.
 *
 *   from            event     to               leaves by itself
 *   Opening         Created   Active
 *                   Ended     Lost             the open was refused, `create` failed, the worker died
 *                   Close     RecyclePending
 *   Active          Ended     Lost             the worker died or broke the protocol
 *                   Close     RecyclePending
 *   RecyclePending  Ended     Recycling        CLOSED came, the worker died, or the bound has passed
 *   Recycling       Settled   Closed           every request has its answer
 *   Lost            Restart   Opening          on another worker
 *                   Close     Closed
 *                   Abandon   Closed           the open failed: there is no handle to close
 *
 * Created changes nothing later than Opening (the answer to `create` may cross a close or a death), nor does Settled in
 * Lost, nor Ended where the context has ended. Requests are accepted in Opening and Active. */
#ifndef BERTH_CONTEXT_FSM_H
#define BERTH_CONTEXT_FSM_H

#include <stdint.h>

enum context_state {
    CONTEXT_OPENING,
    CONTEXT_ACTIVE,
    CONTEXT_RECYCLE_PENDING,
    CONTEXT_RECYCLING,
    CONTEXT_LOST,
    CONTEXT_CLOSED,
    CONTEXT_STATE_COUNT
};

enum context_event {
    CONTEXT_CREATED,
    CONTEXT_ENDED,
    CONTEXT_CLOSE,
    CONTEXT_SETTLED,
    CONTEXT_RESTART,
    CONTEXT_ABANDON,
    CONTEXT_EVENT_COUNT
};

/* The state after `event` in `state`, or -1 when there is no such transition. */
int context_fsm_next(uint32_t state, enum context_event event);

#endif
