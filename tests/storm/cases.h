// What the hosts' threads do in a storm. Each is done again and again, from open to close.
#pragma once

#include "room.h"

namespace berth::test {

struct StormCase {
    const char *name;
    void (*run)(Scene &);
};

void mixture(Scene &);       // calls, requests by callback, events, in no order
void pings(Scene &);         // a STALE_WARN each millisecond, beside blocking calls of several threads
void cancels(Scene &);       // requests cancelled about when their answers come, and after that
void two_listeners(Scene &); // berth_reap with two listeners of large events, beside blocking calls
void one_in_flight(Scene &); // max_in_flight = 1, and deadlines that pass
void idle_restart(Scene &);  // BERTH_RESTART in a host that does not call
void refused_open(Scene &);  // berth_open_submit that frees its user data in the callback
void disconnect(Scene &);    // berth_disconnect while other threads submit

inline constexpr StormCase kStormCases[] = {
    {"mixture", mixture},           {"pings", pings},         {"cancels", cancels},
    {"two_listeners", two_listeners}, {"one_in_flight", one_in_flight}, {"idle_restart", idle_restart},
    {"refused_open", refused_open}, {"disconnect", disconnect},
};

} // namespace berth::test
