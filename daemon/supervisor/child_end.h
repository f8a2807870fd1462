// The end of a child of ours: its pidfd is watched, and the child reaped as soon as it can be. Whoever traces it may
// keep a dead one for a while.
#pragma once

#include <csignal>
#include <functional>

#include "supervisor/loop.h"

namespace berth {

class ChildEnd {
  public:
    // The pidfd must stay open as long as this lives. `reaped` is called once, and may end this; nullptr: somebody else
    // has reaped it.
    using Reaped = std::function<void(const siginfo_t *end)>;
    ChildEnd(uv_loop_t *loop, int pidfd, Reaped reaped);

  private:
    void reap();

    int pidfd_;
    Reaped reaped_;
    Poller dead_;
    Timer again_; // of a dead one that its tracer keeps
};

} // namespace berth
