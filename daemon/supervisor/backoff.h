// How long to wait before the next try of something that keeps failing. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace berth {

class Backoff {
  public:
    static constexpr uint64_t kFirstMs = 100;
    static constexpr uint64_t kMostMs = 10'000;

    void failed(uint64_t now_ms) {
        wait_ms_ = wait_ms_ == 0 ? kFirstMs : std::min(kMostMs, wait_ms_ * 2);
        until_ms_ = now_ms + wait_ms_;
    }
    void succeeded() { wait_ms_ = until_ms_ = 0; }
    // Milliseconds until the next try may be made; 0: now.
    uint64_t left_ms(uint64_t now_ms) const { return until_ms_ > now_ms ? until_ms_ - now_ms : 0; }

  private:
    uint64_t wait_ms_ = 0;
    uint64_t until_ms_ = 0;
};

} // namespace berth
