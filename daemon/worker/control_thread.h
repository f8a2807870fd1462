// Talks to the supervisor and keeps the lease's clock. It stays responsive when the library does not: it never waits
// for the library thread, and past the last bound it ends the process.
//
// While there is no lease the library thread has nothing else to do, so it waits for one itself and begins with it at
// once; a wakeup from thread to thread would be a good part of what an open costs. `turn_` says which of the two has
// the rest of this object.
#pragma once

#include <optional>

#include "control/channel.h"
#include "crash_area.h"
#include "worker/library_thread.h"
#include "worker/rejoin.h"

namespace berth {

constexpr int kExitWedged = BERTH_EXIT_WEDGED; // the library did not end within its bounds

// What a worker says of itself to a supervisor that did not start it.
struct WorkerIdentity {
    std::string module, version, method_ids;
    std::string service; // the socket to come back to; empty: none
};

class ControlThread {
  public:
    ControlThread(Channel channel, LibraryThread &library, Answers &answers, int over_eventfd, WorkerIdentity identity)
        : channel_(std::move(channel)), library_(library), answers_(answers), over_eventfd_(over_eventfd),
          identity_(std::move(identity)), rejoin_(identity_.service, channel_.fd()) {}
    void run();
    // Library thread. Returns when a lease is there and library().start() has been called.
    void await_lease();

  private:
    enum Turn : uint32_t { kLibrary, kControl };
    void pass_turn(Turn to);
    void await_turn(Turn mine);
    void serve_lease();
    bool take_message();
    int next_timeout_ms() const;
    void take_lease(Message &message);
    void count(uint64_t context);
    void refuse_lease(uint64_t context, const std::string &why);
    void read_urgent();
    bool take_urgent();
    void begin_close(bool host_gone);
    void tick();
    void library_thread_said();
    void teardown_began();
    void lease_over();
    void supervisor_gone();
    void watch_orphan();
    void rejoin();
    void adopted(Message &message);
    void tell(const Message &message);

    uint32_t turn_ = kLibrary; // futex
    Channel channel_;
    LibraryThread &library_;
    Answers &answers_;
    int over_eventfd_;
    WorkerIdentity identity_;
    Rejoin rejoin_;
    bool supervisor_alive_ = true;
    bool adopted_ = true;    // the supervisor knows us: the one that started us, or one that took us in
    bool host_gone_ = false; // or the lease was called back
    uint64_t orphan_bound_ns_ = 0; // neither host nor supervisor: when the process ends, come what may; 0: not so
    std::optional<Lease> lease_;
    berth_ring_consumer urgent_{};
    bool host_watched_ = false;
    bool in_teardown_ = false;
    bool teardown_told_ = false;
    uint64_t slow_ns_ = 0; // when a close is no longer quick, and the supervisor wants to know of its teardown; 0: it knows
    uint64_t phase_bound_ns_ = 0; // when the phase of a close is up; 0: no close
};

} // namespace berth
