// Who woke up, by the kernel's count of each thread's context switches.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace berth::test {

// Watches these processes, and every other thread of this one, for ten seconds. Lines of who woke; empty: nobody.
// Waits first for what is still going on.
std::string quiet_for_ten_seconds(const std::vector<pid_t> &processes);

} // namespace berth::test
