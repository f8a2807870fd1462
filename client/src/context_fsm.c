#include "context_fsm.h"

#define NO (-1)

static const int8_t table[CONTEXT_STATE_COUNT][CONTEXT_EVENT_COUNT] = {
    /*                            Created                  Ended              Close                    Settled         Restart          Abandon */
    [CONTEXT_OPENING] =         {CONTEXT_ACTIVE,          CONTEXT_LOST,      CONTEXT_RECYCLE_PENDING, NO,             NO,              NO},
    [CONTEXT_ACTIVE] =          {CONTEXT_ACTIVE,          CONTEXT_LOST,      CONTEXT_RECYCLE_PENDING, NO,             NO,              NO},
    [CONTEXT_RECYCLE_PENDING] = {CONTEXT_RECYCLE_PENDING, CONTEXT_RECYCLING, NO,                      NO,             NO,              NO},
    [CONTEXT_RECYCLING] =       {CONTEXT_RECYCLING,       CONTEXT_RECYCLING, NO,                      CONTEXT_CLOSED, NO,              NO},
    [CONTEXT_LOST] =            {CONTEXT_LOST,            CONTEXT_LOST,      CONTEXT_CLOSED,          CONTEXT_LOST,   CONTEXT_OPENING, CONTEXT_CLOSED},
    [CONTEXT_CLOSED] =          {CONTEXT_CLOSED,          CONTEXT_CLOSED,    NO,                      CONTEXT_CLOSED, NO,              NO},
};

int context_fsm_next(uint32_t state, enum context_event event) {
    return state < CONTEXT_STATE_COUNT && event < CONTEXT_EVENT_COUNT ? table[state][event] : NO;
}
