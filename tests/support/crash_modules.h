// A folder with manifests of the modules that crash: `crasher` and `at-load`, and `fine`, which is crasher's library by
// another name.
#pragma once

#include <string>

#include "processes.h"

namespace berth::test {

class CrashModules {
  public:
    // `more`: further keys of all three.
    explicit CrashModules(const std::string &more = "") { write(more); }

    const std::string &path() const { return folder_.path(); }
    void write(const std::string &more) const {
        std::string libraries = needed_variable("BERTH_TEST_MODULES");
        write_file(folder_ / "crasher.toml", "library = \"" + libraries + "/libberth-crasher.so\"\n" + more);
        write_file(folder_ / "fine.toml", "library = \"" + libraries + "/libberth-crasher.so\"\n" + more);
        write_file(folder_ / "at-load.toml", "library = \"" + libraries + "/libberth-crash-at-load.so\"\n" + more);
    }

  private:
    TempDir folder_;
};

} // namespace berth::test
