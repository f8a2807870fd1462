// A folder of manifests of the test's own.
#pragma once

#include <string>

#include "processes.h"

namespace berth::test {

class Manifests {
  public:
    // `library` is a full path; `more` are further lines.
    void add(const std::string &name, const std::string &library, const std::string &more = "") {
        write_file(folder_ / (name + ".toml"), "library = \"" + library + "\"\n" + more);
    }
    void add_echo(const std::string &more = "") { add("echo", needed_variable("BERTH_ECHO_SO"), more); }
    // One of tests/support/modules.
    void add_test_module(const std::string &name, const std::string &more = "") {
        add(name, needed_variable("BERTH_TEST_MODULES") + "/libberth-" + name + ".so", more);
    }
    const std::string &path() const { return folder_.path(); }

  private:
    TempDir folder_;
};

} // namespace berth::test
