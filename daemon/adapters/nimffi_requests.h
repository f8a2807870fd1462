// Which requests the library owes a callback for. Each is taken out once, by whoever answers it: the library's first
// callback, a cancel, or its deadline. What the library says after that finds nothing.
//
// A request is named to the library by a tag, which is its user data: slot and generation of the worker's id, with the
// context's number between. So a callback that comes late, of an earlier request or context, is told from one that is
// due, and no user data ever points at anything.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "module.h"

namespace berth::nimffi {

class Requests {
  public:
    enum class Taken { Now, Before, GivenUp, NotThere };
    enum class Why { Deadline, Cancelled };
    // Answers one that was taken; on a thread of ours, which may wait for a slow host.
    using Answer = std::function<void(berth_request, Why)>;

    Requests(uint32_t deadline_ms, Answer answer) : deadline_ms_(deadline_ms), answer_(std::move(answer)) {}
    ~Requests();
    Requests(const Requests &) = delete;

    // Begins the next context: tags of the one before are void.
    void next_context();

    uint64_t begin(berth_request id);
    // For a callback. Before: an earlier one took it; GivenUp: we did. Both are known until the slot's next request.
    Taken take(uint64_t tag);
    bool is_in_flight(uint64_t tag) const { return slot(tag).tag.load() == tag; }
    static berth_request id_of(uint64_t tag) { return tag & 0xffffffff0000ffff; }

    // What is in flight has had its answer from the worker.
    void give_up_all();
    // Any thread: has it answered soon.
    void cancel(berth_request id);

  private:
    static constexpr uint64_t kSlots = 65536;
    struct Slot {
        std::atomic<uint64_t> tag{0}; // in flight; 0: none
        std::atomic<uint64_t> answered{0}, given_up{0}; // the last of each
        std::atomic<uint64_t> due_ns{0};
    };
    Slot &slot(uint64_t tag) { return slots_[tag % kSlots]; }
    const Slot &slot(uint64_t tag) const { return slots_[tag % kSlots]; }
    uint64_t tag_of(berth_request id) const { return id | uint64_t{context_.load()} << 16; }
    bool give_up(uint64_t tag); // false: it was taken
    void start_thread();
    void run();
    void expire(uint64_t tag, Why why);
    uint64_t expire_overdue(uint64_t now_ns);

    const uint32_t deadline_ms_;
    const Answer answer_;
    std::atomic<uint16_t> context_{0};
    std::array<Slot, kSlots> slots_;
    std::atomic<uint64_t> slots_used_{0};

    std::mutex lock_;
    std::condition_variable work_;
    std::thread thread_;
    bool stop_ = false;
    std::atomic<bool> asleep_{true}; // until somebody says that there is a deadline to keep
    std::deque<uint64_t> cancelled_;
};

} // namespace berth::nimffi
