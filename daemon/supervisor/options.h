// The command line and the environment, made into one set of facts.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace berth {

struct Options {
    std::string socket_path;
    int private_fd = -1;
    std::vector<std::string> module_dirs;
    std::string worker_program;
    std::string log_level = "info";
    bool exit_now = false; // --help, --version or a mistake: said what there is to say
    int exit_code = 0;
};

Options parse_options(int argc, char **argv);

} // namespace berth
