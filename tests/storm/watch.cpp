#include "watch.h"

#include <cstdlib>

#include "processes.h"

namespace berth::test {

std::chrono::seconds patience() {
    const char *given = std::getenv("BERTH_STORM_PATIENCE");
    return std::chrono::seconds(given ? std::strtol(given, nullptr, 10) : 20);
}

Watch::Watch(std::function<void(const std::string &)> lost) : lost_(std::move(lost)), thread_([this] { look(); }) {}

Watch::~Watch() {
    {
        std::lock_guard lock(mutex_);
        over_ = true;
    }
    thread_.join();
}

Watch::Within::Within(Watch &watch, const char *what, int ms) : watch_(watch) {
    std::lock_guard lock(watch_.mutex_);
    number_ = watch_.next_++;
    watch_.due_[number_] = {what, Clock::now() + std::chrono::milliseconds(ms) + patience()};
}

Watch::Within::~Within() {
    std::lock_guard lock(watch_.mutex_);
    watch_.due_.erase(number_);
}

void Watch::look() {
    for (;; sleep_ms(50)) {
        std::lock_guard lock(mutex_);
        if (over_)
            return;
        for (const auto &[number, due] : due_)
            if (Clock::now() > due.second)
                lost_(due.first);
    }
}

} // namespace berth::test
