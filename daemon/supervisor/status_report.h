// What berth_status answers: one CBOR map about daemon, modules, workers and contexts.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/pool.h"

namespace berth {

struct DaemonFacts {
    uint64_t started_ms;
    std::string socket; // empty: none
    bool is_private;
};

// A sealed memfd whose bytes are the map; its file offset is at the start. What workers said of their modules is told
// as those of `viewer` said it, and to root also what those of other users said otherwise.
Result<UniqueFd> status_report(const Pool &pool, const DaemonFacts &facts, uid_t viewer);

} // namespace berth
