#include "lease/lease_fsm.h"

#define NO (-1)
#define TO(state) LEASE_##state

/* clang-format off */
static const int8_t table[LEASE_STATE_COUNT][LEASE_EVENT_COUNT] = {
    /*                    Created        Ended          Pause          Close        Settled     Restart      Reaped */
    [LEASE_OPENING] =   {TO(ACTIVE),    TO(ENDING),    TO(PAUSING),   TO(CLOSING), NO,         NO,          NO},
    [LEASE_ACTIVE] =    {TO(ACTIVE),    TO(ENDING),    TO(PAUSING),   TO(CLOSING), NO,         NO,          NO},
    [LEASE_CLOSING] =   {TO(CLOSING),   TO(RECYCLING), TO(RECYCLING), NO,          NO,         NO,          NO},
    [LEASE_RECYCLING] = {TO(RECYCLING), TO(RECYCLING), TO(RECYCLING), NO,          TO(CLOSED), NO,          NO},
    [LEASE_ENDING] =    {TO(ENDING),    TO(ENDING),    TO(ENDING),    NO,          TO(LOST),   NO,          NO},
    [LEASE_PAUSING] =   {TO(PAUSING),   TO(PAUSING),   TO(PAUSING),   NO,          TO(PAUSED), NO,          NO},
    [LEASE_PAUSED] =    {TO(PAUSED),    TO(LOST),      TO(PAUSED),    TO(CLOSED),  NO,         TO(OPENING), NO},
    [LEASE_LOST] =      {TO(LOST),      TO(LOST),      TO(LOST),      TO(CLOSED),  NO,         NO,          NO},
    [LEASE_CLOSED] =    {TO(CLOSED),    TO(CLOSED),    TO(CLOSED),    NO,          NO,         NO,          TO(OVER)},
    [LEASE_OVER] =      {TO(OVER),      TO(OVER),      TO(OVER),      NO,          NO,         NO,          NO},
};
/* clang-format on */

int lease_fsm_next(uint32_t state, uint32_t facts, enum lease_event event) {
    if (state >= LEASE_STATE_COUNT || event >= LEASE_EVENT_COUNT)
        return NO;
    if (state == LEASE_ENDING && event == LEASE_SETTLED && !(facts & LEASE_HAS_HANDLE))
        return LEASE_CLOSED;
    return table[state][event];
}
