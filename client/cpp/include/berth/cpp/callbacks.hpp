// C++ callables behind berth.h's callbacks.
//
// A callable lives in a box of its own on the heap, which is the callback's user_data. An answer's box ends itself
// after its one terminal answer. A listener's box ends when the listener does: at once, for berth_unlisten waits until
// the callback does not run; but one that ends its own listener is still running, and ends its box itself when it
// returns.
#ifndef BERTH_CPP_CALLBACKS_HPP
#define BERTH_CPP_CALLBACKS_HPP

#include "result.hpp"
#include "reply.hpp"

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace berth {

// What a callback is given: its bytes are valid during the callback.
struct Answer {
    int ret;     // BERTH_RET_…
    Bytes bytes; // the module's, or what was said

    bool ok() const noexcept { return ret == BERTH_RET_OK; }
    // A copy, to keep.
    Result<Reply> result() const {
        if (ok())
            return Reply::copy_of(bytes);
        return Error(ret, bytes);
    }
};

namespace detail {

// Of one context: how many answers its callbacks are still owed, and on which thread one runs.
class Owed {
  public:
    void one_more() noexcept {
        std::lock_guard<std::mutex> guard(lock_);
        count_++;
    }
    void one_less() noexcept {
        std::lock_guard<std::mutex> guard(lock_);
        if (--count_ == 0)
            none_.notify_all(); // under the lock: who waits may be the last to hold this
    }
    void running(std::thread::id thread) noexcept { thread_.store(thread); }
    bool runs_here() const noexcept { return thread_.load() == std::this_thread::get_id(); }
    void wait_until_none() noexcept {
        std::unique_lock<std::mutex> guard(lock_);
        none_.wait(guard, [this] { return count_ == 0; });
    }

  private:
    std::mutex lock_;
    std::condition_variable none_;
    std::size_t count_ = 0;
    std::atomic<std::thread::id> thread_{};
};

template <class Done> class AnswerBox {
  public:
    AnswerBox(std::shared_ptr<Owed> owed, Done done) : owed_(std::move(owed)), done_(std::move(done)) {
        owed_->one_more();
    }
    AnswerBox(const AnswerBox &) = delete;
    AnswerBox &operator=(const AnswerBox &) = delete;

    // Refused: the callback will not be called.
    static void drop(AnswerBox *box) noexcept { take_apart(box)->one_less(); }

    static void run(int ret, const std::uint8_t *data, std::size_t len, void *user_data) noexcept {
        if (ret == BERTH_RET_STALE_WARN) // not the answer
            return;
        auto *box = static_cast<AnswerBox *>(user_data);
        box->owed_->running(std::this_thread::get_id());
        box->done_(Answer{ret, Bytes(data, len)});
        std::shared_ptr<Owed> owed = take_apart(box);
        owed->running({});
        owed->one_less();
    }

  private:
    // What the callable holds is gone before anybody who waits for the callbacks goes on.
    static std::shared_ptr<Owed> take_apart(AnswerBox *box) noexcept {
        std::shared_ptr<Owed> owed = std::move(box->owed_);
        delete box;
        return owed;
    }
    std::shared_ptr<Owed> owed_;
    Done done_;
};

class ListenerBox {
  public:
    virtual ~ListenerBox() = default;

    // After berth_unlisten.
    static void end(std::unique_ptr<ListenerBox> box) noexcept {
        if (box->thread_.load() == std::this_thread::get_id()) {
            box->ended_ = true;
            box.release(); // run() below, further up this stack, has it
        }
    }
    static void run(int, const std::uint8_t *data, std::size_t len, void *user_data) noexcept {
        auto *box = static_cast<ListenerBox *>(user_data);
        box->thread_.store(std::this_thread::get_id());
        box->heard(Bytes(data, len));
        box->thread_.store({});
        if (box->ended_)
            delete box;
    }

  private:
    virtual void heard(Bytes event) noexcept = 0;
    std::atomic<std::thread::id> thread_{};
    bool ended_ = false; // its callback has ended it; seen by that thread only
};

template <class Heard> class ListenerBoxOf final : public ListenerBox {
  public:
    explicit ListenerBoxOf(Heard heard) : heard_(std::move(heard)) {}

  private:
    void heard(Bytes event) noexcept override { heard_(event); }
    Heard heard_;
};

// A context's listeners, by their ids.
class Listeners {
  public:
    void put(std::uint64_t id, std::unique_ptr<ListenerBox> box) {
        std::lock_guard<std::mutex> guard(lock_);
        boxes_[id] = std::move(box);
    }
    std::unique_ptr<ListenerBox> take(std::uint64_t id) {
        std::lock_guard<std::mutex> guard(lock_);
        auto found = boxes_.find(id);
        if (found == boxes_.end())
            return nullptr;
        std::unique_ptr<ListenerBox> box = std::move(found->second);
        boxes_.erase(found);
        return box;
    }
    std::map<std::uint64_t, std::unique_ptr<ListenerBox>> take_all() {
        std::lock_guard<std::mutex> guard(lock_);
        return std::exchange(boxes_, {});
    }

  private:
    std::mutex lock_;
    std::map<std::uint64_t, std::unique_ptr<ListenerBox>> boxes_;
};

} // namespace detail
} // namespace berth

#endif
