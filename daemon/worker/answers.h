// The worker's way back to the host: replies and events, from any thread.
//
// Each request begun holds its slot until it is answered; a second answer finds the slot empty. Each ring has a lock
// for its producers; nothing is written once the lease is detached.
#pragma once

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

#include "ring.h"
#include "worker/data_credit.h"
#include "worker/lease.h"

namespace berth {

class Answers {
  public:
    struct Free {
        void operator()(void *memory) const { std::free(memory); }
    };
    using Slots = std::unique_ptr<std::atomic<uint64_t>[], Free>;
    static constexpr size_t kMaxProgress = 255; // bytes of text

    // While the process has one thread, for the first lease's sake: see announce_fence.
    Answers();
    void attach(const Lease &lease);
    // Waits for writers that are in the middle; later calls are dropped.
    void detach();

    // Library thread: the request is being handled. False: its id cannot be (in flight already, or no such slot).
    bool begin(uint64_t id);
    // Control thread: the host gave the request up. True when it has begun.
    bool mark_cancelled(uint64_t id);
    // Library thread: was it given up before it began?
    bool is_cancelled(uint64_t id) const;

    // 0, or -1 when nobody waits for this answer.
    int reply(uint64_t id, uint32_t ret, const void *data, size_t len);
    // 0, 1 when it was left out, or -1 when nobody waits for it or it is too long.
    int progress(uint64_t id, const void *text, size_t len);
    // Waits for the host's credit, as long as anybody wants it. 0, 1 when the host is too old for it, or -1 as progress.
    int data(uint64_t id, const void *bytes, size_t len);
    // Control thread: so much of that request's DATA has been read.
    void credit(uint64_t id, uint32_t bytes);
    int emit(const char *name, const void *data, size_t len);
    // `why`: who asked for it, where it was not the host.
    void closed(uint32_t outcome, uint32_t cut_off, std::string_view why);

    uint64_t answered() const { return answered_.load(); }
    uint64_t outstanding() const { return begun_.load() - answered_.load(); }
    // A close has begun to cancel: what the module says no to from here on was cut off by it.
    void begin_cutting() { cutting_ = true; }
    // Answers everything outstanding with RECYCLED.
    void cut_off();
    // How many requests have been answered RECYCLED.
    uint32_t recycled() const { return recycled_.load(); }
    template <class Each> void for_each_outstanding(Each each) const {
        for (uint32_t slot = 0, most = begun_slots_.load(std::memory_order_acquire); slot < most; slot++)
            if (uint64_t id = in_flight_[slot].load())
                each(id);
    }

    // An event overflow was for good: no request is accepted any more.
    bool events_stuck() const { return events_stuck_.load(std::memory_order_relaxed); }
    // Nobody will read: stop waiting for room.
    void give_up();
    // The host wrote an index that cannot be into the reply or event ring.
    bool host_lies() const { return host_lies_.load(std::memory_order_relaxed); }
    // Gives back pages that a burst touched, if the host has read everything.
    void trim();
    bool wants_trim() const { return wants_trim_.load(std::memory_order_relaxed); }

  private:
    enum class Data { Sent, HostTooOld, Unwanted, NoCredit, NoRoom };
    bool wants_data(uint64_t id, size_t len) const;
    Data try_data(uint64_t id, const void *bytes, size_t len);
    Data wait_with_data(std::unique_lock<std::mutex> &lock, uint64_t id, const void *bytes, size_t len);
    void call_data_writers();
    void write(uint64_t id, uint16_t kind, uint32_t code, const void *data, size_t len);
    int reserve(berth_ring_producer &ring, uint32_t size, uint8_t **payload);
    void wake(berth_ring_producer &ring, uint32_t due);
    void note_burst(const berth_ring_producer &ring);
    bool events_full(uint64_t size);
    void drop_event();

    std::mutex reply_lock_, event_lock_;
    berth_ring_producer reply_{}, event_{};
    berth_segment_header *header_ = nullptr; // null: detached
    const Wakeups *wakeups_ = nullptr; // the lease's
    uint64_t events_sent_ = 0, events_taken_ = 0; // taken: as the host last said
    uint64_t max_events_ = 0, max_event_bytes_ = 0;
    bool sticky_ = false;
    std::atomic<bool> events_stuck_{false};
    uint32_t max_payload_ = 0;
    bool knows_progress_ = false, knows_data_ = false; // the host
    uint32_t slots_ = 0;
    Slots in_flight_, cancelled_; // by slot: the id, or 0
    uint32_t slots_made_ = 0;
    std::atomic<uint32_t> begun_slots_{0}; // so many of in_flight_, the first, may be other than 0
    uint32_t cancelled_slots_ = 0;         // the same of cancelled_; control thread
    std::atomic<uint64_t> begun_{0}, answered_{0};
    std::atomic<uint32_t> recycled_{0};
    std::atomic<bool> cutting_{false};
    std::atomic<bool> given_up_{false};
    std::atomic<bool> host_lies_{false};
    std::atomic<bool> wants_trim_{false};
    DataCredit credit_;
    std::atomic<uint32_t> data_writers_{0}; // that wait
    uint32_t data_word_ = 0;                // where they sleep
};

} // namespace berth
