#include "tally.h"

namespace berth::test {

bool may_end_with(int ret) {
    return ret == BERTH_RET_WORKER_DIED || ret == BERTH_RET_RECYCLED || ret == BERTH_RET_CANCELLED ||
           ret == BERTH_RET_TIMEOUT || ret == BERTH_RET_UNAVAILABLE || ret == BERTH_RET_CLOSED;
}

void Tally::fault(const std::string &what) {
    std::lock_guard lock(mutex_);
    if (faults++ < 10)
        first_ += what + '\n';
}

std::string Tally::first_faults() {
    std::lock_guard lock(mutex_);
    return first_;
}

void Tally::judge(int ret, const std::string &bytes, const std::string &expected) {
    // A restart fails, and with it the context, where the next worker is killed while it starts.
    bool killed_early = !calm && ret == BERTH_RET_ERR && bytes.find("ended before it was ready") != std::string::npos;
    if (ret == BERTH_RET_OK && bytes == expected)
        answered++;
    else if (may_end_with(ret) || killed_early)
        cut_off++;
    else
        fault(std::string("wrong: ") + berth_ret_name(ret) + " \"" + bytes.substr(0, 60) + "\" for \"" +
              expected.substr(0, 60) + '"');
}

} // namespace berth::test
