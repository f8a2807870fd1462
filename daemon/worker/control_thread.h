// Talks to the supervisor and keeps the lease's clock. It stays responsive when the library does not: it never waits
// for the library thread, and past the last bound it ends the process.
//
// While there is no lease the library thread has nothing else to do, so it waits for one itself, begins with it at once
// and ends it: this thread is not woken for a context that opens, answers and closes. What it is to wake for is added to
// and taken from its epoll while it sleeps there; `lock_` has the rest of this object.
#pragma once

#include <mutex>
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
    ControlThread(Channel channel, LibraryThread &library, Answers &answers, int teardown_eventfd,
                  WorkerIdentity identity);
    void run();
    // Library thread. Returns when a lease is there and library().start() has been called.
    void await_lease();
    // Library thread: it has served the lease.
    void end_lease();

  private:
    enum Source : uint64_t { kSupervisor, kTeardown, kAgain, kDoorbell, kHost, kSources };
    int watch(int fd, Source source);
    void unwatch(int fd);
    void woken_by(uint64_t tag);
    bool take_message();
    int next_timeout_ms() const;
    void take_lease(Message &message);
    void count(uint64_t context);
    void refuse_lease(uint64_t context, const std::string &why);
    void read_urgent();
    bool take_urgent();
    Result<Wakeups> take_wakeups(Message &message, const Segment &segment);
    void look_again();
    void begin_close(bool host_gone, const std::string &why = {});
    void tick();
    void tell_of_teardown(); // if it has begun, once
    void supervisor_gone();
    void watch_orphan();
    void rejoin();
    void adopted(Message &message);
    void tell(const Message &message);

    std::mutex lock_;
    UniqueFd epoll_;
    Channel channel_;
    LibraryThread &library_;
    Answers &answers_;
    int teardown_eventfd_; // the library thread's word that the teardown has begun, where it is asked for
    UniqueFd again_; // our own word to ourselves: there is more in the urgent ring
    WorkerIdentity identity_;
    Rejoin rejoin_;
    bool supervisor_alive_ = true;
    bool adopted_ = true;    // the supervisor knows us: the one that started us, or one that took us in
    bool host_gone_ = false; // or the lease was called back
    uint64_t orphan_bound_ns_ = 0; // neither host nor supervisor: when the process ends, come what may; 0: not so
    std::optional<Lease> lease_;
    uint64_t leases_ = 0; // so far; an event of an earlier one's descriptor says nothing of this one
    berth_ring_consumer urgent_{};
    bool in_teardown_ = false;
    bool teardown_told_ = false;
    uint64_t slow_ns_ = 0; // when a close is no longer quick, and the supervisor wants to know of its teardown; 0: it knows
    uint64_t phase_bound_ns_ = 0; // when the phase of a close is up; 0: no close
};

} // namespace berth
