#include "service.h"

#include <csignal>
#include <cstring>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control_peer.h"

namespace berth::test {
namespace {

int listening_socket(const std::string &path) {
    int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0 || ::listen(fd, 64) != 0)
        throw std::runtime_error("cannot listen on " + path);
    return fd;
}

// In the child: only system calls until exec.
[[noreturn]] void become_berthd(const char *program, char *const *argv, const char *log, int passed, char *pid_text,
                               uid_t uid) {
    int out = ::open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, STDERR_FILENO);
    if (passed >= 0) {
        if (passed == 3)
            ::fcntl(3, F_SETFD, 0);
        else
            ::dup2(passed, 3);
        ::snprintf(pid_text, 16, "%d", ::getpid());
    }
    if (uid != 0 && (::setgroups(0, nullptr) || ::setgid(uid) || ::setuid(uid)))
        ::_exit(125);
    ::execv(program, argv);
    ::_exit(126);
}

} // namespace

Service::Service(const Options &options)
    : socket_(options.socket.empty() ? folder_ / "berthd.sock" : options.socket), uid_(options.uid) {
    if (uid_ != 0)
        REQUIRE(::chown(folder_.path().c_str(), uid_, uid_) == 0);
    modules_ = options.modules.empty() ? needed_variable("BERTH_MODULE_DIR") : options.modules;
    if (options.by_systemd)
        listening_ = listening_socket(socket_);
    start();
}

void Service::start() {
    std::string program = needed_variable("BERTH_DAEMON");
    std::string log = folder_ / "log";
    std::vector<const char *> argv = {"berthd", "--socket", socket_.c_str(), "--modules", modules_.c_str(), nullptr};
    if (listening_ >= 0) {
        ::setenv("LISTEN_FDS", "1", 1);
        ::setenv("LISTEN_PID", "0000000000000000", 1); // room that the child writes its pid to
    }
    char *pid_text = ::getenv("LISTEN_PID");
    pid_ = ::fork();
    if (pid_ == 0)
        become_berthd(program.c_str(), const_cast<char **>(argv.data()), log.c_str(), listening_, pid_text, uid_);
    ::unsetenv("LISTEN_FDS");
    ::unsetenv("LISTEN_PID");
    REQUIRE_MESSAGE(eventually([&] { return ControlPeer::can_connect(socket_) || !alive(pid_); }), log);
    REQUIRE_MESSAGE(alive(pid_), this->log());
}

void Service::start_again() {
    REQUIRE(pid_ < 0);
    start();
}

void Service::open_to_all() const {
    REQUIRE(::chmod(folder_.path().c_str(), 0711) == 0);
    REQUIRE(::chmod(socket_.c_str(), 0666) == 0);
}

Service::~Service() {
    stop();
    if (listening_ >= 0)
        ::close(listening_);
}

bool Service::logs(const std::string &text) const {
    return eventually([&] { return log().find(text) != std::string::npos; }, std::chrono::seconds(15));
}

size_t Service::times_logged(const std::string &text) const {
    std::string all = log();
    size_t count = 0;
    for (size_t at = 0; (at = all.find(text, at)) != std::string::npos; at += text.size())
        count++;
    return count;
}

void Service::send(int signal) { ::kill(pid_, signal); }

int Service::wait() {
    int status = -1;
    bool ended = eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    if (!ended) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
    return ended ? status : -1;
}

void Service::stop() {
    if (pid_ < 0)
        return;
    send(SIGTERM);
    int status = wait();
    CHECK_MESSAGE(status == 0, "berthd ended with wait status " << status << "; its log:\n" << log());
}

void Service::kill() {
    send(SIGKILL);
    wait();
}

} // namespace berth::test
