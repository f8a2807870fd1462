// What the module calls of its own: requests that no host sent, whose answers go to a function of the module's.
//
// Any thread but the library's may call; the library thread takes the calls in turn with the host's requests. Each
// holds a slot until it is answered, and is outstanding until the module's function has returned.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <pthread.h>

#include "worker/lease.h"
#include "worker/module_loader.h"

namespace berth {

class OwnCalls {
  public:
    static constexpr uint32_t kMost = 1024; // in flight

    // One that waits to be begun, or is being handled; its bytes stand behind it.
    struct alignas(16) Call {
        Call *next;
        uint64_t id;
        uint32_t method; // index
        size_t len;
        uint8_t *bytes() { return reinterpret_cast<uint8_t *>(this + 1); }
    };
    struct Free {
        void operator()(Call *call) const { std::free(call); }
    };
    using CallPtr = std::unique_ptr<Call, Free>;

    // On the library thread.
    OwnCalls() : library_thread_(pthread_self()) {}

    // Is this request one of the module's own?
    static bool owns(uint64_t id) { return id & kOwn; }

    // Any thread. 0, or 1 when it was refused and `done` knows why.
    int call(const char *method, const void *data, size_t len, berth_answer done, void *user_data);
    // Any thread. 0, or -1 when nobody waits for this answer.
    int reply(uint64_t id, uint32_t ret, const void *data, size_t len);
    // Any thread. Is it begun, and unanswered?
    bool waits(uint64_t id);

    // Library thread. Calls are accepted from open to close, but that the host's word for a close refuses them too.
    void open(const Module &module, const Lease &lease);
    void close();
    // Is there one to begin? One plain load: it is asked between every two requests.
    bool any() const { return __atomic_load_n(&queued_, __ATOMIC_RELAXED) != 0; }
    // The same for one who has said that he sleeps.
    bool none_before_sleep() const { return __atomic_load_n(&queued_, __ATOMIC_SEQ_CST) == 0; }
    const uint32_t *queued() const { return &queued_; } // for one who spins
    // The oldest that waits is begun; null: none does.
    CallPtr take();
    uint32_t outstanding() const { return outstanding_.load(std::memory_order_acquire); }
    // Answers everything with RECYCLED, after close, and waits for answers that others are at.
    void cut_off();
    // How many were answered RECYCLED since open.
    uint32_t recycled() const { return recycled_.load(std::memory_order_relaxed); }

    // Control thread: a close has begun to cancel. What the module says no to from here on was cut off by it.
    void begin_cutting();
    // Control thread: those begun are given up. Writes their ids, and returns how many.
    uint32_t mark_cancelled(uint64_t (&ids)[kMost]);

  private:
    static constexpr uint64_t kOwn = uint64_t{1} << 31; // a host's slots are far below

    struct Slot {
        uint64_t id; // 0: free
        berth_answer done;
        void *user_data;
        uint32_t next_free;
        bool begun, cancelled;
    };

    static int refuse(berth_answer done, void *user_data, const char *why);
    static CallPtr copy(const void *data, size_t len);
    bool take_slot(Call &call, berth_answer done, void *user_data);
    void enqueue(CallPtr call);
    static uint32_t slot_of(uint64_t id) { return static_cast<uint32_t>(id & ~kOwn); }
    Slot *find(uint64_t id);
    void answer(const Slot &slot, uint32_t ret, const void *data, size_t len);

    const pthread_t library_thread_;
    std::mutex lock_;
    const Module *module_ = nullptr;
    berth_segment_header *header_ = nullptr; // null: closed
    berth_ring_control *ring_ = nullptr;     // where the library thread sleeps
    Call *first_ = nullptr, *last_ = nullptr;
    Slot slots_[kMost] = {};
    uint32_t slots_used_ = 0;   // so many, the first, have ever been taken
    uint32_t free_ = kMost;     // the first free one of those; kMost: none
    uint32_t generation_ = 0;   // of the newest id; goes on from lease to lease
    bool cutting_ = false;
    std::atomic<uint32_t> outstanding_{0}, recycled_{0};
    // Written with lock_. Alone on its line, so that a library thread that only asks reads none that callers write.
    alignas(64) uint32_t queued_ = 0;
};

} // namespace berth
