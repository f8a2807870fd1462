#include "adapters/nimffi_awaited.h"

#include <chrono>

namespace berth::nimffi {

void *Awaited::arm() {
    std::lock_guard lock(lock_);
    waiting_ = true;
    came_ = false;
    text_.clear();
    return reinterpret_cast<void *>(static_cast<uintptr_t>(++number_));
}

bool Awaited::note(void *user_data, int ret, const char *msg, size_t len) {
    {
        std::lock_guard lock(lock_);
        if (!waiting_ || came_ || reinterpret_cast<uintptr_t>(user_data) != number_)
            return false;
        ret_ = ret;
        text_.assign(msg ? msg : "", msg ? len : 0);
        came_ = true;
    }
    changed_.notify_all(); // not with the lock, which the waiter would run into
    return true;
}

bool Awaited::came() {
    std::lock_guard lock(lock_);
    return came_;
}

bool Awaited::wait(uint32_t timeout_ms) {
    std::unique_lock lock(lock_);
    auto here = [this] { return came_; };
    if (timeout_ms)
        changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), here);
    else
        changed_.wait(lock, here);
    waiting_ = false;
    return came_;
}

} // namespace berth::nimffi
