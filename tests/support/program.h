// Runs a program to its end, and has what it said.
#pragma once

#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace berth::test {

struct Ran {
    int status = -1; // exit status; 128 + signal; -1: it did not end in time and was killed
    std::string out, err;
};

// The program is looked for in PATH. `environment`: variables that differ from this program's; "" unsets one. `uid`: as
// that user and its group of the same number; only root can ask for another. Bounded by kHangBound, twice.
Ran run_program(const std::vector<std::string> &argv, const std::map<std::string, std::string> &environment = {},
                uid_t uid = static_cast<uid_t>(-1));

} // namespace berth::test
