// Who waits for what, and until when: what is overdue never came, and ends the storm at once.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace berth::test {

// Beyond its own deadline nothing takes that long, however busy the machine and whatever stands still. It is also the
// deadline of calls that have none of their own. BERTH_STORM_PATIENCE, in seconds; usually 20.
std::chrono::seconds patience();

class Watch {
  public:
    // `lost` is told what is overdue. It does not return.
    explicit Watch(std::function<void(const std::string &)> lost);
    ~Watch();
    Watch(const Watch &) = delete;

    // For as long as it lives the thread is within `what`, which has `ms` and our patience.
    class Within {
      public:
        Within(Watch &watch, const char *what, int ms);
        ~Within();
        Within(const Within &) = delete;

      private:
        Watch &watch_;
        long number_;
    };

  private:
    using Clock = std::chrono::steady_clock;
    void look();

    std::function<void(const std::string &)> lost_;
    std::mutex mutex_; // of what is below
    std::map<long, std::pair<const char *, Clock::time_point>> due_;
    long next_ = 0;
    bool over_ = false;
    std::thread thread_;
};

} // namespace berth::test
