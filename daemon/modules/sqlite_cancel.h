// The one request that the library thread is busy with, and whether the host still wants it.
#pragma once

#include "module.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sqlite3.h>

namespace berth::sqlite {

class CancelSwitch {
  public:
    void begin(berth_request request) {
        std::lock_guard lock(mutex_);
        running_ = request;
        cancelled_ = early_ == request;
    }
    void end() { begin(0); } // no request has the id 0, and nobody cancels it

    // From any thread. Interrupts db if that request is running. A request not yet begun is remembered (the latest).
    void cancel(berth_request request, sqlite3 *db) {
        std::lock_guard lock(mutex_);
        if (running_ != request) {
            early_ = request;
            return;
        }
        cancelled_ = true;
        sqlite3_interrupt(db);
        changed_.notify_all();
    }

    bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

    // False: cancelled meanwhile.
    bool wait_for(std::chrono::milliseconds time) {
        std::unique_lock lock(mutex_);
        return !changed_.wait_for(lock, time, [this] { return cancelled(); });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    berth_request running_ = 0;
    berth_request early_ = ~berth_request{0};
    std::atomic<bool> cancelled_{false};
};

} // namespace berth::sqlite
