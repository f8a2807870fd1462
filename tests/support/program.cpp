#include "program.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.h"

extern char **environ;

namespace berth::test {
namespace {

std::vector<std::string> environment_with(const std::map<std::string, std::string> &changes) {
    std::vector<std::string> all;
    for (char **at = environ; *at; at++)
        if (!changes.contains(std::string(*at, std::strcspn(*at, "="))))
            all.push_back(*at);
    for (const auto &[name, value] : changes)
        if (!value.empty())
            all.push_back(name + "=" + value);
    return all;
}

std::vector<char *> pointers(const std::vector<std::string> &words) {
    std::vector<char *> out;
    for (const auto &word : words)
        out.push_back(const_cast<char *>(word.c_str()));
    out.push_back(nullptr);
    return out;
}

// In the child.
[[noreturn]] void become(char *const *argv, char *const *variables, uid_t uid, int out, int err) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    if (uid != static_cast<uid_t>(-1) && (::setgroups(0, nullptr) || ::setgid(uid) || ::setuid(uid)))
        ::_exit(125);
    ::execvpe(argv[0], argv, variables);
    ::_exit(126);
}

int wait_for(pid_t pid) {
    int status = 0;
    if (!eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }, 2 * kHangBound)) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace

Ran run_program(const std::vector<std::string> &argv, const std::map<std::string, std::string> &environment,
                uid_t uid) {
    TempDir folder;
    auto variables = environment_with(environment);
    auto words = pointers(argv), envp = pointers(variables);
    constexpr int kNew = O_WRONLY | O_CREAT | O_CLOEXEC;
    int out = ::open((folder / "out").c_str(), kNew, 0600), err = ::open((folder / "err").c_str(), kNew, 0600);
    pid_t pid = out < 0 || err < 0 ? -1 : ::fork();
    if (pid == 0)
        become(words.data(), envp.data(), uid, out, err);
    int error = errno;
    ::close(out);
    ::close(err);
    if (pid < 0)
        throw std::runtime_error("cannot run " + argv[0] + ": " + std::strerror(error));
    Ran ran;
    ran.status = wait_for(pid);
    ran.out = read_file(folder / "out");
    ran.err = read_file(folder / "err");
    return ran;
}

} // namespace berth::test
