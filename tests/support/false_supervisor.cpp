#include "false_supervisor.h"

#include <cstring>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.h"

namespace berth::test {
namespace {

bool listen_at(int fd, const std::string &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return ::bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0 &&
           ::chmod(path.c_str(), 0666) == 0 && ::listen(fd, 16) == 0;
}

// Who listens is whoever calls listen(): a child that is that user.
bool listen_as(int fd, const std::string &path, uid_t uid) {
    pid_t child = ::fork();
    if (child == 0)
        ::_exit(::syscall(SYS_setresuid, uid, uid, uid) == 0 && listen_at(fd, path) ? 0 : 1);
    int status = -1;
    return ::waitpid(child, &status, 0) == child && status == 0;
}

} // namespace

FalseSupervisor::FalseSupervisor(const std::string &path, uid_t uid)
    : path_(path), fd_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    ::unlink(path.c_str());
    REQUIRE((uid ? listen_as(fd_, path, uid) : listen_at(fd_, path)));
}

FalseSupervisor::~FalseSupervisor() {
    ::close(fd_);
    ::unlink(path_.c_str());
}

std::unique_ptr<ControlPeer> FalseSupervisor::accept() {
    pollfd poll{fd_, POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(std::chrono::milliseconds(kHangBound).count())) <= 0)
        return nullptr;
    return std::make_unique<ControlPeer>(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
}

std::unique_ptr<ControlPeer> FalseSupervisor::accept_host() {
    auto peer = accept();
    REQUIRE(peer);
    REQUIRE(peer->receive().message().type == BERTH_MSG_HELLO);
    berth_control_message welcome;
    berth_control_init(&welcome, BERTH_MSG_WELCOME);
    berth_control_set_uint(&welcome, BERTH_KEY_VERSION, BERTH_CONTROL_VERSION_MAX);
    berth_control_set_text(&welcome, BERTH_KEY_NAME, "false", 5);
    berth_control_set_uint(&welcome, BERTH_KEY_PID, static_cast<uint64_t>(::getpid()));
    REQUIRE(peer->send(welcome));
    return peer;
}

} // namespace berth::test
