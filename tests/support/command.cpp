#include "command.h"

#include <csignal>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.h"

namespace berth::test {
namespace {

[[noreturn]] void become(char *const *argv, uid_t uid, int out) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    if (uid != static_cast<uid_t>(-1) && (::setgroups(0, nullptr) || ::setgid(uid) || ::setuid(uid)))
        ::_exit(125);
    ::execv(argv[0], argv);
    ::_exit(126);
}

std::string read_until_end(int fd) {
    std::string out;
    char buffer[4096];
    pollfd poll{fd, POLLIN, 0};
    while (::poll(&poll, 1, static_cast<int>(std::chrono::milliseconds(kHangBound).count())) > 0) {
        ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got <= 0)
            break;
        out.append(buffer, static_cast<size_t>(got));
    }
    return out;
}

} // namespace

Ran run(const std::vector<std::string> &argv, uid_t uid) {
    std::vector<char *> pointers;
    for (const auto &argument : argv)
        pointers.push_back(const_cast<char *>(argument.c_str()));
    pointers.push_back(nullptr);
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0)
        return {};
    pid_t pid = ::fork();
    if (pid == 0)
        become(pointers.data(), uid, pipe[1]);
    ::close(pipe[1]);
    Ran ran;
    ran.out = read_until_end(pipe[0]);
    ::close(pipe[0]);
    int status = 0;
    if (!eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; })) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, &status, 0);
    }
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
}

} // namespace berth::test
