// A kill point at which the first thread that comes by, of this process or another, is held (proto/kill_point.h). For
// builds with -Dkill_points=true.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "processes.h"

namespace berth::test {

class HeldPoint {
  public:
    // To be called in main(), before any point is passed and before any process is started.
    static void enable() {
        static TempDir folder;
        ::setenv("BERTH_HOLD_FOLDER", folder.path().c_str(), 1);
    }
    explicit HeldPoint(const std::string &name) : wish_(needed_variable("BERTH_HOLD_FOLDER") + "/" + name) {
        std::filesystem::remove(here());
        write_file(wish_, "");
    }
    ~HeldPoint() { let_go(); }
    HeldPoint(const HeldPoint &) = delete;

    // Somebody stands there, or stood there.
    bool reached() const { return std::filesystem::exists(here()); }
    bool reached_soon() const { return eventually([this] { return reached(); }); }
    void let_go() { std::filesystem::remove(wish_); }

  private:
    std::string here() const { return wish_ + ".here"; }
    std::string wish_;
};

} // namespace berth::test
