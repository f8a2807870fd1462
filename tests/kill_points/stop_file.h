// Where a process that has come to its kill point leaves its pid (proto/kill_point.h).
#pragma once

#include <string>
#include <sys/types.h>

#include "points.h"
#include "processes.h"

namespace berth::test {

class StopFile {
  public:
    // From here on this program's children stop at that place, the first that comes by.
    explicit StopFile(const Place &place);
    // The process that stands there; 0: none does yet.
    pid_t stopped() const;

  private:
    TempDir folder_;
};

// Stopped by a signal, all of it.
bool is_stopped(pid_t pid);

} // namespace berth::test
