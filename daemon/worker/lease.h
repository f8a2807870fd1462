// What a worker holds while it serves one context.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "shm/segment.h"
#include "worker/wakeups.h"

namespace berth {

struct Lease {
    uint64_t context = 0;
    uint64_t generation = 0;
    std::string token; // a secret of host, supervisor and worker
    uint32_t drain_ms = 0;
    uint32_t teardown_ms = 0;
    bool gated = false; // the teardown waits for the supervisor's word
    uint32_t max_events = UINT32_MAX;
    uint64_t max_event_bytes = UINT64_MAX;
    bool sticky = false; // an event overflow is for good
    Segment segment;
    Wakeups wakeups;
    UniqueFd host_pidfd;
};

} // namespace berth
