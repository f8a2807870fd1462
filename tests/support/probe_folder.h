// Folders with one manifest: the module `probe` or `echo`, and the policies that a test wants.
#pragma once

#include <string>

#include "processes.h"

namespace berth::test {

struct ProbeFolder {
    TempDir folder;
    explicit ProbeFolder(const std::string &more = "") {
        write_file(folder / "probe.toml",
                   "library = \"" + needed_variable("BERTH_TEST_MODULES") + "/libberth-probe.so\"\n" + more);
    }
};

// The same with the echo module.
struct EchoFolder {
    TempDir folder;
    explicit EchoFolder(const std::string &more = "") {
        write_file(folder / "echo.toml", "library = \"" + needed_variable("BERTH_ECHO_SO") + "\"\n" + more);
    }
};

} // namespace berth::test
