#include "supervisor/own_child.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth {
namespace {

std::string read_proc(pid_t pid, const char *file) {
    UniqueFd fd(::open(fmt::format("/proc/{}/{}", pid, file).c_str(), O_RDONLY | O_CLOEXEC));
    char text[2048];
    ssize_t size = fd ? ::read(fd.get(), text, sizeof text) : -1;
    return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

std::optional<ChildOfOurs> child_of_ours(pid_t pid) {
    std::string stat = read_proc(pid, "stat");
    size_t end = stat.rfind(')'); // of the name, which may hold anything
    int parent = 0;
    unsigned long long started = 0;
    if (end == std::string::npos ||
        std::sscanf(stat.c_str() + end, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                    &parent, &started) != 2 ||
        parent != ::getpid())
        return std::nullopt;
    return ChildOfOurs{pid, started};
}

} // namespace

Result<UniqueFd> open_own_child(pid_t pid, const Identity &identity) {
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd)
        return Error{1, fmt::format("process {}: {}", pid, std::strerror(errno))};
    siginfo_t end{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &end, WEXITED | WNOHANG | WNOWAIT) != 0)
        return Error{1, fmt::format("process {} is no child of this one", pid)};
    auto ids = read_process_ids(pid);
    if (!ids)
        return Error{1, fmt::format("process {}: {}", pid, ids.error().text)};
    if (*ids != ids_of(identity))
        return Error{1, fmt::format("process {} does not run as {}", pid, describe(identity))};
    return pidfd;
}

std::vector<ChildOfOurs> list_own_children() {
    std::vector<ChildOfOurs> found;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator("/proc", error);
         !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        std::string name = entry->path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos)
            continue;
        if (auto child = child_of_ours(static_cast<pid_t>(std::atol(name.c_str()))))
            found.push_back(*child);
    }
    return found;
}

uint64_t now_in_ticks() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    auto per_second = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
    return static_cast<uint64_t>(now.tv_sec) * per_second +
           static_cast<uint64_t>(now.tv_nsec) * per_second / 1'000'000'000;
}

} // namespace berth
