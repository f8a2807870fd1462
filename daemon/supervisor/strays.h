// Children of the daemon that nobody knows: what a zygote forked without having told of it before it ended, or was never
// asked for. They are killed and reaped.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "base/unique_fd.h"
#include "supervisor/child_end.h"

namespace berth {

class Strays {
  public:
    explicit Strays(uv_loop_t *loop);

    // Call when each child of ours is known to `known`. Children older than this object are left alone: whoever was the
    // daemon's process before it became one may have had some.
    void sweep(const std::function<bool(pid_t)> &known);

  private:
    struct Stray {
        UniqueFd pidfd;
        std::unique_ptr<ChildEnd> end; // after the descriptor
    };
    void kill(pid_t pid);

    uv_loop_t *loop_;
    uint64_t since_; // ticks
    std::map<pid_t, Stray> dying_;
};

} // namespace berth
