// What the threads of a storm have seen.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "host.h"

namespace berth::test {

struct Tally {
    bool calm = false; // nobody is killed
    std::atomic<long> opened{0}, refused{0}, answered{0}, cut_off{0}, events{0};
    std::atomic<long> faults{0};

    // What may not be. The first few are kept in words.
    void fault(const std::string &what);
    std::string first_faults();
    // An answer: the module's, or one of those that a storm may bring.
    void judge(int ret, const std::string &bytes, const std::string &expected);

  private:
    std::mutex mutex_; // of what is below
    std::string first_;
};

bool may_end_with(int ret);

} // namespace berth::test
