#include "supervisor/spawn.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kill_point.h"
#include "supervisor/process_setup.h"

namespace berth {
namespace {

enum Step : uint32_t { kSession, kGroups, kGroup, kUser, kDescriptors, kExec, kSteps };
constexpr const char *kStepNames[kSteps] = {"setsid", "setgroups", "setresgid", "setresuid", "dup2", "execve"};

// All that the child needs, made before it: there it may only make system calls.
struct Plan {
    const char *program;
    char *const *argv, *const *envp;
    const Identity *become; // nullptr: as this process
    std::array<int, kSpawnFds> fds;
    int report; // above those
    pid_t parent;
};

std::vector<char *> pointers(const std::vector<std::string> &texts) {
    std::vector<char *> out;
    for (const auto &text : texts)
        out.push_back(const_cast<char *>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

[[noreturn]] void give_up(int report, Step step) {
    SpawnFailure failure{step, errno};
    (void)!::write(report, &failure, sizeof failure);
    ::_exit(127);
}

// By number, as libc's functions of these names would have all threads of the process do it, and this is a process of
// one thread with the memory of another. Groups before the user, whose change takes the right to.
void take_identity(const Identity &identity, int report) {
    const auto &groups = identity.groups.sorted();
    if (::syscall(SYS_setgroups, groups.size(), groups.data()) != 0)
        give_up(report, kGroups);
    if (::syscall(SYS_setresgid, identity.gid, identity.gid, identity.gid) != 0)
        give_up(report, kGroup);
    if (::syscall(SYS_setresuid, identity.uid, identity.uid, identity.uid) != 0)
        give_up(report, kUser);
}

// First out of the way, then into place, so that none is overwritten before it has its copy. Nothing else stays: as its
// own user's process the child can be stopped before its exec, and what it held of the daemon's sockets would keep them
// open for everybody. Returns where `report` is now.
int take_descriptors(std::array<int, kSpawnFds> fds, int report) {
    for (int &fd : fds)
        if (fd >= 0 && (fd = ::fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(kSpawnFds))) < 0)
            give_up(report, kDescriptors);
    for (size_t i = 0; i < fds.size(); i++) {
        if (fds[i] < 0)
            ::close(static_cast<int>(i));
        else if (::dup2(fds[i], static_cast<int>(i)) < 0)
            give_up(report, kDescriptors);
    }
    constexpr int kReport = kSpawnFds;
    if (report != kReport && ::dup3(report, kReport, O_CLOEXEC) < 0)
        give_up(report, kDescriptors);
    ::syscall(SYS_close_range, kReport + 1, ~0u, 0); // where it is refused the exec closes them
    return kReport;
}

// Until the worker itself sees to it. After the change of user, which undoes it.
void die_with(pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(127);
}

[[noreturn]] void become_program(const Plan &plan) {
    BERTH_KILL_POINT("worker.before_exec");
    default_signals();
    if (::setsid() < 0)
        give_up(plan.report, kSession);
    int report = take_descriptors(plan.fds, plan.report);
    restore_fd_limit(); // after those, which may not be within it
    if (plan.become)
        take_identity(*plan.become, report);
    die_with(plan.parent);
    unblock_signals();
    ::execvpe(plan.program, plan.argv, plan.envp);
    give_up(report, kExec);
}

// Not libc's fork: the pidfd comes with the child, so that there is no child without one. No signal may reach the child
// before its dispositions are its own: a handler of ours would write into the loop's pipe.
pid_t clone_with_pidfd(const Plan &plan, int &pidfd) {
    sigset_t all, before;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    auto pid = static_cast<pid_t>(::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &pidfd, nullptr, nullptr));
    if (pid == 0)
        become_program(plan);
    int error = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    errno = error;
    return pid;
}

Error failed(const char *what) { return Error{1, fmt::format("{}: {}", what, std::strerror(errno))}; }

} // namespace

Result<Spawned> spawn(const SpawnOptions &options) {
    int pipe[2], pidfd = -1;
    if (::pipe2(pipe, O_CLOEXEC) != 0)
        return failed("pipe");
    UniqueFd news(pipe[0]), low(pipe[1]), report(::fcntl(low.get(), F_DUPFD_CLOEXEC, static_cast<int>(kSpawnFds)));
    if (!report)
        return failed("pipe");
    ::fcntl(news.get(), F_SETFL, O_NONBLOCK);
    std::vector<std::string> words = options.args;
    words.insert(words.begin(), options.program);
    auto argv = pointers(words), envp = pointers(options.env);
    Plan plan{options.program.c_str(),
              argv.data(),
              envp.data(),
              options.become ? &*options.become : nullptr,
              options.fds,
              report.get(),
              ::getpid()};
    pid_t pid = clone_with_pidfd(plan, pidfd);
    if (pid < 0)
        return failed("clone");
    return Spawned{pid, UniqueFd(pidfd), std::move(news)};
}

std::string describe(const SpawnFailure &failure, const std::string &program) {
    return fmt::format("{}: {}: {}", program, failure.step < kSteps ? kStepNames[failure.step] : "an unknown step",
                       std::strerror(failure.error));
}

StartNews start_news(int news, const std::string &program) {
    SpawnFailure failure{};
    ssize_t size = ::read(news, &failure, sizeof failure);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return {StartNews::State::Pending};
    if (size != sizeof failure)
        return {StartNews::State::Started};
    return {StartNews::State::Failed, describe(failure, program)};
}

} // namespace berth
