// The thread that runs the library: the worker's main thread. It drains the request ring and calls the module, from the
// beginning of a lease to its end; the control thread tells it when that comes, unless it sees the host's word itself.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "ring_spin.h"
#include "step_aside.h"
#include "worker/answers.h"
#include "worker/lease.h"
#include "worker/module_loader.h"
#include "worker/own_calls.h"

namespace berth {

// How far a lease has come. Only forward; the control thread moves it as the close goes on, the library thread says
// when it has reached Teardown and Over.
enum class LeasePhase : uint32_t {
    None,
    Serving,
    Draining, // no new requests; those in flight may finish
    Cutting,  // what has not begun is refused, what has was asked to stop
    Cut,      // the rest is answered without the module
    Teardown, // the module's destroy runs
    Over
};

struct LeaseEnd {
    uint32_t outcome = BERTH_DRAINED;
    uint32_t cut_off = 0;
    std::string host_broke; // why the host's frames cannot be; empty when they can
};

class LibraryThread {
  public:
    LibraryThread(Module &module, Answers &answers, OwnCalls &own_calls, int teardown_eventfd)
        : module_(module), answers_(answers), own_calls_(own_calls), teardown_eventfd_(teardown_eventfd) {
        berth_spin_init(&spin_);
    }

    // Main thread. The lease outlives the phase Over.
    void start(const Lease &lease);
    void serve_lease();

    // Control thread.
    void advance_to(LeasePhase phase);
    void next_lease(); // once Over
    LeasePhase phase() const { return phase_.load(); }
    const LeaseEnd &end() const { return end_; } // once Over
    void explain_close(const std::string &why); // to the host, unless the end has begun; empty: it asked for it
    void announce_teardown(); // from now on it writes its eventfd when it gets there
    void allow_teardown();    // of a gated lease
    void cancel(uint64_t id);
    void cancel_outstanding();

  private:
    void poke();
    void reach(LeasePhase phase);
    void ask_to_stop(uint64_t id);
    void serve();
    bool asked_to_close() const;
    bool serve_one();
    void create(const berth_frame_header &header, const uint8_t *payload);
    void request(const berth_frame_header &header, const uint8_t *payload);
    void handle(const berth_frame_header &header, uint32_t method, const uint8_t *payload);
    bool serve_own_call();
    void run(uint32_t method, uint64_t id, const uint8_t *data, size_t len);
    bool lacks_context(uint32_t method) const;
    void turn();
    const uint8_t *private_copy(const uint8_t *payload, size_t len);
    void wait_for_frame();
    void wait_for_answers();
    void sleep_on_ring(uint32_t poke);
    void wait_for_gate();
    std::string why_closed();
    void tear_down();
    void broke(const char *why);

    Module &module_;
    Answers &answers_;
    OwnCalls &own_calls_;
    int teardown_eventfd_; // written when a teardown begins that was to be announced
    std::mutex phase_lock_;
    const Lease *lease_ = nullptr;
    std::atomic<LeasePhase> phase_{LeasePhase::None};
    std::atomic<bool> announce_{false};
    uint32_t gate_ = 1; // futex; 1: a teardown may begin
    uint32_t poke_ = 0; // what a sleeper on the ring must come and see
    berth_ring_consumer ring_{};
    berth_spin spin_{};
    berth_step_aside step_aside_{};
    std::vector<uint8_t> copy_;
    void *instance_ = nullptr;
    bool created_ = false;
    bool first_ = true;
    uint64_t turns_ = 0; // as handler_turns of the segment
    LeaseEnd end_;
    std::string why_closed_; // with phase_lock_
    // Keeps the cancel hook away from create and destroy.
    std::mutex module_lock_;
};

} // namespace berth
