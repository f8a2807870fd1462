#include "supervisor/child_end.h"

#include <sys/wait.h>
#include <utility>

namespace berth {
namespace {
constexpr uint64_t kTracedAgainMs = 100;
}

ChildEnd::ChildEnd(uv_loop_t *loop, int pidfd, Reaped reaped)
    : pidfd_(pidfd), reaped_(std::move(reaped)), dead_(loop, pidfd, [this](int) { reap(); }),
      again_(loop, [this] { reap(); }) {}

void ChildEnd::reap() {
    siginfo_t end{};
    int rc = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_), &end, WEXITED | WNOHANG);
    if (rc == 0 && end.si_pid == 0) { // it is dead, and whoever traces it has not looked yet
        dead_.want(0);
        again_.start(kTracedAgainMs);
        return;
    }
    auto reaped = std::move(reaped_);
    reaped(rc == 0 ? &end : nullptr);
}

} // namespace berth
