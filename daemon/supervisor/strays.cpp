#include "supervisor/strays.h"

#include <csignal>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/log.h"
#include "supervisor/own_child.h"

namespace berth {
namespace {
constexpr uint64_t kTracedAgainMs = 100;
}

Strays::Strays(uv_loop_t *loop) : loop_(loop), since_(now_in_ticks()) {}

void Strays::sweep(const std::function<bool(pid_t)> &known) {
    for (const auto &child : list_own_children())
        if (child.started >= since_ && !dying_.contains(child.pid) && !known(child.pid))
            kill(child.pid);
}

void Strays::kill(pid_t pid) {
    // A child of ours that nobody else reaps: the pid is its own until reap().
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd)
        return;
    log::warn("process {} is killed: a child of the daemon that it has not asked for", pid);
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    auto &stray = dying_[pid];
    stray.pidfd = std::move(pidfd);
    stray.end = std::make_unique<Poller>(loop_, stray.pidfd.get(), [this, pid](int) { reap(pid); });
    stray.again = std::make_unique<Timer>(loop_, [this, pid] { reap(pid); });
}

void Strays::reap(pid_t pid) {
    siginfo_t end{};
    auto &stray = dying_.at(pid);
    if (::waitid(P_PIDFD, static_cast<id_t>(stray.pidfd.get()), &end, WEXITED | WNOHANG) == 0 && end.si_pid == 0) {
        stray.end->want(0); // it is dead, and whoever traces it has not looked yet
        stray.again->start(kTracedAgainMs);
        return;
    }
    dying_.erase(pid);
}

} // namespace berth
