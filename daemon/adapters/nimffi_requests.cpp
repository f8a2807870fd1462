#include "adapters/nimffi_requests.h"

#include <chrono>
#include <csignal>
#include <pthread.h>

namespace berth::nimffi {
namespace {

static_assert(sizeof(void *) == 8, "a tag is user data");

uint64_t now_ns() {
    auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

} // namespace

Requests::~Requests() {
    {
        std::lock_guard lock(lock_);
        stop_ = true;
        work_.notify_one();
    }
    if (thread_.joinable())
        thread_.join();
}

void Requests::next_context() {
    for (uint64_t i = 0, used = slots_used_.load(); i < used; i++) {
        slots_[i].tag = 0;
        slots_[i].answered = 0;
        slots_[i].given_up = 0;
    }
    context_.fetch_add(1);
}

uint64_t Requests::begin(berth_request id) {
    uint64_t tag = tag_of(id), index = tag % kSlots;
    Slot &mine = slots_[index];
    if (index >= slots_used_.load(std::memory_order_relaxed))
        slots_used_.store(index + 1); // the library thread alone begins
    if (deadline_ms_)
        mine.due_ns = now_ns() + uint64_t{deadline_ms_} * 1'000'000;
    mine.tag = tag;
    if (deadline_ms_ && asleep_.load()) {
        start_thread();
        std::lock_guard lock(lock_);
        asleep_ = false;
        work_.notify_one();
    }
    return tag;
}

Requests::Taken Requests::take(uint64_t tag) {
    Slot &mine = slot(tag);
    uint64_t expected = tag;
    if (tag == 0)
        return Taken::NotThere;
    // First: a second callback that comes right now is to find it.
    if (mine.tag.load() == tag)
        mine.answered = tag;
    if (mine.tag.compare_exchange_strong(expected, 0))
        return Taken::Now;
    if (mine.given_up.load() == tag)
        return Taken::GivenUp;
    return mine.answered.load() == tag ? Taken::Before : Taken::NotThere;
}

bool Requests::give_up(uint64_t tag) {
    Slot &mine = slot(tag);
    uint64_t expected = tag;
    if (!mine.tag.compare_exchange_strong(expected, 0))
        return false;
    mine.given_up = tag;
    return true;
}

void Requests::give_up_all() {
    for (uint64_t i = 0, used = slots_used_.load(); i < used; i++)
        if (uint64_t tag = slots_[i].tag.load())
            give_up(tag);
}

void Requests::cancel(berth_request id) {
    uint64_t tag = tag_of(id);
    if (!is_in_flight(tag))
        return;
    start_thread();
    std::lock_guard lock(lock_);
    cancelled_.push_back(tag);
    work_.notify_one();
}

// With the first deadline or cancel, so that a library that needs neither has no thread for them.
void Requests::start_thread() {
    std::lock_guard lock(lock_);
    if (thread_.joinable())
        return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Requests::expire(uint64_t tag, Why why) {
    if (give_up(tag))
        answer_(id_of(tag), why);
}

// When the next one is due; 0: none is in flight.
uint64_t Requests::expire_overdue(uint64_t now) {
    uint64_t next = 0;
    for (uint64_t i = 0, used = slots_used_.load(); i < used; i++) {
        uint64_t tag = slots_[i].tag.load(), due = slots_[i].due_ns.load();
        if (!tag || !deadline_ms_)
            continue;
        if (due <= now)
            expire(tag, Why::Deadline);
        else if (!next || due < next)
            next = due;
    }
    return next;
}

void Requests::run() {
    std::unique_lock lock(lock_);
    while (!stop_) {
        while (!cancelled_.empty()) {
            uint64_t tag = cancelled_.front();
            cancelled_.pop_front();
            lock.unlock();
            expire(tag, Why::Cancelled);
            lock.lock();
        }
        // Said before the look: a request that begins after it wakes this thread. One that begins while another is
        // in flight is due later, and need not.
        asleep_ = true;
        lock.unlock();
        uint64_t next = expire_overdue(now_ns());
        lock.lock();
        auto asked = [this] { return stop_ || !cancelled_.empty(); };
        if (next) {
            asleep_ = false;
            work_.wait_until(lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(next)), asked);
        } else {
            work_.wait(lock, [&] { return asked() || !asleep_.load(); });
        }
    }
}

} // namespace berth::nimffi
