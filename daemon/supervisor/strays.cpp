#include "supervisor/strays.h"

#include <csignal>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/log.h"
#include "supervisor/own_child.h"

namespace berth {

Strays::Strays(uv_loop_t *loop) : loop_(loop), since_(now_in_ticks()) {}

void Strays::sweep(const std::function<bool(pid_t)> &known) {
    for (const auto &child : list_own_children())
        if (child.started >= since_ && !dying_.contains(child.pid) && !known(child.pid))
            kill(child.pid);
}

void Strays::kill(pid_t pid) {
    // A child of ours that nobody else reaps: the pid is its own until its end.
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd)
        return;
    log::warn("process {} is killed: a child of the daemon that it has not asked for", pid);
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    auto &stray = dying_[pid];
    stray.pidfd = std::move(pidfd);
    stray.end = std::make_unique<ChildEnd>(loop_, stray.pidfd.get(), [this, pid](auto *) { dying_.erase(pid); });
}

} // namespace berth
