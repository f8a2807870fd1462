// The report of one worker's death: what the supervisor knows and what the worker left, as one CBOR map.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

#include "supervisor/crash_record.h"

namespace berth {

// What the supervisor itself knows of a worker that died.
struct WorkerDeath {
    std::string module, version;
    std::string method_names; // as `ready` told them: a newline between
    pid_t pid = 0;
    uid_t uid = 0;
    uint64_t uses = 0;
    uint64_t context = 0; // 0: it had none
    pid_t host_pid = 0;
    std::string state;    // of the worker, before its end showed
    uint64_t uptime_ms = 0;
    uint64_t time_ms = 0; // since 1970
    int signal = 0;       // 0: it exited with `status`
    int64_t status = 0;
    std::string killed;   // why the supervisor killed it; empty: it did not
    std::string log;      // the last lines
};

constexpr size_t kMaxCrashReport = 64 * 1024;

// At most kMaxCrashReport bytes; the shape is in berth.h, at berth_crashes. Maps are the first that go when it would
// be more, then frames.
std::vector<uint8_t> crash_report(const WorkerDeath &death, const CrashRecord &record);

} // namespace berth
