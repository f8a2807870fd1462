// What a worker's death costs its host.
#pragma once

#include "session.h"

namespace berth::cli {

inline constexpr int kInFlightAtDeath = 1000;

// Kills a worker of the echo module with so many requests in flight. Nanoseconds from the kill to the last answer.
uint64_t death_ns(const Client &client);

} // namespace berth::cli
