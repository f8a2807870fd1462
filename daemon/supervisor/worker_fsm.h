// The life of one worker, as the supervisor sees it. Pure: events and the time come in, actions go out; the table that
// it follows heads worker_fsm.cpp.
#pragma once

#include <cstdint>
#include <optional>

namespace berth {

// Recycling is the teardown inside the worker. A quick one is not announced: it begins and ends within Draining.
enum class WorkerState : uint8_t { Spawning, Idle, Leased, Draining, Recycling, Retiring, Dead };
constexpr int kWorkerStateCount = 7;

enum class WorkerEvent : uint8_t {
    Ready,        // it has loaded its module
    LoadFailed,   // it cannot, said why, and ends by itself
    Lease,        // a host gets it
    Closing,      // the host ends its lease
    Recall,       // the supervisor ends the lease: the host is gone, or the daemon stops
    TeardownBegan, // no request is left, and the library's instance is being destroyed
    Recycled,     // the context is gone, the worker may serve on
    RecycledLast, // the context is gone, and policy has no further use for the worker
    Retire,       // it is not needed any more
    HostBroke,    // it found its host's segment broken, and ends by itself
    ControlLost,  // its control connection ended
    Misbehaved,   // it broke the protocol
    TimeUp,       // the deadline passed
    Exited        // the process is gone
};
constexpr int kWorkerEventCount = 14;

enum class WorkerAction : uint8_t { Nothing, SendRecycle, SendRetire, Kill, Illegal };

const char *name_of(WorkerState state);
const char *name_of(WorkerEvent event);

class WorkerFsm {
  public:
    // Times are milliseconds of one monotonic clock. A worker that is not ready by `bound_ms` is killed.
    WorkerFsm(uint64_t now_ms, uint64_t bound_ms) : since_ms_(now_ms), deadline_ms_(now_ms + bound_ms) {}

    WorkerState state() const { return state_; }
    uint64_t since_ms() const { return since_ms_; }
    // When TimeUp is due; none while the state may last.
    std::optional<uint64_t> deadline_ms() const { return deadline_ms_; }

    // `bound_ms`: how long the new state may last, where it is one that must end. Of two bounds on one state the
    // earlier holds, and 0 adds none. Illegal leaves everything as it was; whether that is worth an abort is the
    // caller's to say.
    WorkerAction handle(WorkerEvent event, uint64_t now_ms, uint64_t bound_ms = 0);

  private:
    void enter(WorkerState state, uint64_t now_ms, uint64_t bound_ms);

    WorkerState state_ = WorkerState::Spawning;
    uint64_t since_ms_;
    std::optional<uint64_t> deadline_ms_;
};

} // namespace berth
