#include "supervisor/process_setup.h"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include "base/unique_fd.h"

namespace berth {
namespace {

rlimit first_fd_limit{};

// Where close_range(2) is not to be had (an old kernel, a sandbox): each by itself.
void for_each_fd(unsigned first, unsigned last, const std::function<void(int)> &change) {
    std::vector<int> fds;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", error);
         !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
        fds.push_back(std::atoi(entry->path().filename().c_str()));
    for (int fd : fds)
        if (static_cast<unsigned>(fd) >= first && static_cast<unsigned>(fd) <= last)
            change(fd);
}

void close_range_if_any(unsigned first, unsigned last, int flags) {
    if (first > last || ::close_range(first, last, flags) == 0)
        return;
    for_each_fd(first, last, [&](int fd) {
        if (flags)
            ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        else
            ::close(fd);
    });
}

} // namespace

void default_signals() {
    for (int signal = 1; signal < NSIG; signal++)
        ::signal(signal, SIG_DFL); // refused for some; those cannot be set by anyone
}

void reset_signals() {
    default_signals();
    ::signal(SIGPIPE, SIG_IGN);
    block_signals();
}

void block_signals() {
    sigset_t watched;
    sigemptyset(&watched);
    for (int signal : kWatchedSignals)
        sigaddset(&watched, signal);
    ::sigprocmask(SIG_SETMASK, &watched, nullptr);
}

void unblock_signals() {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void close_inherited_fds(int keep) {
    auto kept = static_cast<unsigned>(keep);
    close_range_if_any(3, kept - 1, 0);
    close_range_if_any(kept < 3 ? 3 : kept + 1, ~0u, 0);
}

void make_fds_private() { close_range_if_any(3, ~0u, CLOSE_RANGE_CLOEXEC); }

void open_missing_stdio() {
    int fd;
    do
        fd = ::open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3);
    ::close(fd);
}

void redirect_stdio(const std::string &log) {
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    ::dup2(null.get(), 0);
    ::dup2(null.get(), 1);
    if (!log.empty()) {
        UniqueFd file(::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
        ::dup2(file ? file.get() : null.get(), 2);
    }
}

void drop_ambient_capabilities() { ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); }

void raise_fd_limit() {
    if (::getrlimit(RLIMIT_NOFILE, &first_fd_limit) != 0)
        return;
    rlimit raised = first_fd_limit;
    raised.rlim_cur = raised.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &raised);
}

void restore_fd_limit() {
    if (first_fd_limit.rlim_cur != 0)
        ::setrlimit(RLIMIT_NOFILE, &first_fd_limit);
}

} // namespace berth
