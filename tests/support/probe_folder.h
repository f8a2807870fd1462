// A folder with one manifest: the module `probe`, and the policies that a test wants.
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

} // namespace berth::test
