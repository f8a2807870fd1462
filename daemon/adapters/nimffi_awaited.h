// The one callback of a create or a destroy, waited for on the library thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

namespace berth::nimffi {

class Awaited {
  public:
    // Begins a wait; what is returned is the callback's user data.
    void *arm();
    // From the callback. False: nobody waits for it, or it came already.
    bool note(void *user_data, int ret, const char *msg, size_t len);
    // 0 ms: without end. False: it did not come.
    bool wait(uint32_t timeout_ms);
    bool came();

    // Once it came.
    int ret() const { return ret_; }
    const std::string &text() const { return text_; }

  private:
    std::mutex lock_;
    std::condition_variable changed_;
    uint64_t number_ = 0;
    bool waiting_ = false, came_ = false;
    int ret_ = 0;
    std::string text_;
};

} // namespace berth::nimffi
