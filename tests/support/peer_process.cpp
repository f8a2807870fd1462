#include "peer_process.h"

#include <csignal>
#include <cstring>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.h"

namespace berth::test {

namespace {

// In the child: only system calls.
bool become(const User &user) {
    return (!user.groups || ::syscall(SYS_setgroups, user.groups->size(), user.groups->data()) == 0) &&
           (!user.gid || ::syscall(SYS_setresgid, *user.gid, *user.gid, *user.gid) == 0) &&
           (!user.uid || ::syscall(SYS_setresuid, *user.uid, *user.uid, *user.uid) == 0);
}

} // namespace

PeerProcess::PeerProcess(const std::string &socket, const User &user)
    : peer_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    int ready[2];
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    REQUIRE(::pipe(ready) == 0);
    pid_ = ::fork();
    if (pid_ == 0) { // only system calls
        bool ok = become(user) &&
                  ::connect(peer_.fd(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0;
        ::close_range(ready[1] + 1, ~0u, 0);
        ::close(peer_.fd());
        (void)!::write(ready[1], ok ? "y" : "n", 1);
        for (;;)
            ::pause();
    }
    char answer = 0;
    CHECK(::read(ready[0], &answer, 1) == 1);
    ::close(ready[0]);
    ::close(ready[1]);
    CHECK(answer == 'y');
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
}

PeerProcess::~PeerProcess() {
    kill();
    ::close(pidfd_);
}

bool PeerProcess::was_killed() {
    int status = 0;
    bool ended = eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    if (ended)
        pid_ = -1;
    return ended && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void PeerProcess::kill() { kill_child(pid_); }

} // namespace berth::test
