// Runs a program and takes what it prints.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace berth::test {

struct Ran {
    int status = -1; // exit status; -1: it was killed by a signal, or did not end within the hang bound
    std::string out; // stdout and stderr
};

// `uid`: as that user and its group of the same number; only root can ask for another than its own.
Ran run(const std::vector<std::string> &argv, uid_t uid = static_cast<uid_t>(-1));

} // namespace berth::test
