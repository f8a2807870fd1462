// What a module's crashes cost one user of it: new workers wait, twice as long each time, and after too many crashes
// in a row there are none for a while. Pure.
//
// It is kept for each module and user apart: workers of two users share nothing, and one user's input that crashes a
// library must not lock out another. A context that was closed in order ends a row; so does a pause as long as the
// window.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "supervisor/backoff.h"

namespace berth {

class Quarantine {
  public:
    struct Policy {
        uint32_t after = 5;          // crashes in a row, within the window; 0: never
        uint64_t window_ms = 60'000;
        uint64_t lasts_ms = 600'000;
    };

    // `how` it died is for people. True: the quarantine begins with this crash.
    bool crashed(uint64_t now_ms, const Policy &policy, std::string how) {
        end_if_over(now_ms);
        forget_before(now_ms, policy);
        how_ = std::move(how);
        times_.push_back(now_ms);
        if (times_.size() > kMostRemembered)
            times_.pop_front();
        if (times_.size() > 1) // one crash may be an accident: the next worker comes at once
            backoff_.failed(now_ms);
        if (policy.after == 0 || times_.size() < policy.after || holds(now_ms))
            return false;
        until_ms_ = now_ms + policy.lasts_ms;
        return holds(now_ms);
    }

    void served_well(uint64_t now_ms) {
        if (!holds(now_ms))
            reset();
    }

    void reset() { *this = {}; }

    bool holds(uint64_t now_ms) const { return now_ms < until_ms_; }
    // Until a new worker may be started, by quarantine or back-off; 0: now.
    uint64_t wait_ms(uint64_t now_ms) const {
        return holds(now_ms) ? until_ms_ - now_ms : until_ms_ ? 0 : backoff_.left_ms(now_ms);
    }
    // Crashes in a row.
    size_t crashes(uint64_t now_ms) const { return until_ms_ && !holds(now_ms) ? 0 : times_.size(); }
    const std::string &how() const { return how_; }

    static constexpr size_t kMostRemembered = 1000; // no `after` is larger

  private:
    void end_if_over(uint64_t now_ms) {
        if (until_ms_ && !holds(now_ms))
            reset();
    }
    void forget_before(uint64_t now_ms, const Policy &policy) {
        if (!times_.empty() && now_ms - times_.back() >= policy.window_ms)
            reset();
        while (!times_.empty() && now_ms - times_.front() >= policy.window_ms)
            times_.pop_front();
    }

    std::deque<uint64_t> times_;
    Backoff backoff_;
    uint64_t until_ms_ = 0; // 0: there is none, and was none
    std::string how_;
};

} // namespace berth
