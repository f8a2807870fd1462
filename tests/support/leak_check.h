// What a test may not leave behind: descriptors, threads, segment mappings, supervisors and workers.
#pragma once

#include <map>
#include <set>
#include <string>
#include <sys/types.h>

namespace berth::test {

struct Holdings {
    std::map<int, std::string> fds; // number and what it is open on
    std::set<pid_t> threads;
    size_t segments = 0; // mappings of memfd:berth-segment
    std::set<pid_t> processes;

    static Holdings now();
    // The descriptors of another process.
    static std::map<int, std::string> fds_of(pid_t pid);
};

// One line for each thing that `after` has and `before` had not; empty: nothing leaked.
std::string leaked(const Holdings &before, const Holdings &after);

// Base of every fixture that starts something: compares when it ends, and gives what is ending five seconds.
class LeakChecked {
  public:
    LeakChecked() : before_(Holdings::now()) {}
    ~LeakChecked();

  private:
    Holdings before_;
};

} // namespace berth::test
