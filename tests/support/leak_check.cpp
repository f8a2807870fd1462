#include "leak_check.h"

#include <doctest/doctest.h>
#include <filesystem>
#include <sstream>

#include "processes.h"

namespace berth::test {
namespace {

std::map<int, std::string> open_fds(const std::string &process) {
    std::map<int, std::string> fds;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/" + process + "/fd", error)) {
        std::string target = std::filesystem::read_symlink(entry.path(), error);
        if (target.find("/proc/") != 0 || target.find("/fd") == std::string::npos) // the folder we are reading
            fds[std::stoi(entry.path().filename())] = target;
    }
    return fds;
}

std::set<pid_t> threads() {
    std::set<pid_t> found;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/self/task", error))
        found.insert(std::stoi(entry.path().filename()));
    return found;
}

size_t segment_mappings() {
    std::istringstream maps(read_file("/proc/self/maps"));
    size_t count = 0;
    for (std::string line; std::getline(maps, line);)
        count += line.find("memfd:berth-segment") != std::string::npos;
    return count;
}

} // namespace

Holdings Holdings::now() {
    auto processes = own_processes();
    return {open_fds("self"), test::threads(), segment_mappings(), {processes.begin(), processes.end()}};
}

std::map<int, std::string> Holdings::fds_of(pid_t pid) { return open_fds(std::to_string(pid)); }

std::string leaked(const Holdings &before, const Holdings &after) {
    std::ostringstream out;
    for (const auto &[fd, target] : after.fds) {
        auto had = before.fds.find(fd);
        if (had == before.fds.end() || had->second != target)
            out << "descriptor " << fd << " on " << target << '\n';
    }
    for (const auto &[fd, target] : before.fds)
        if (!after.fds.contains(fd))
            out << "descriptor " << fd << " on " << target << " was closed\n";
    for (pid_t thread : after.threads)
        if (!before.threads.contains(thread))
            out << "thread " << thread << '\n';
    if (after.segments > before.segments)
        out << after.segments - before.segments << " segment mappings\n";
    for (pid_t process : after.processes)
        if (!before.processes.contains(process))
            out << "process " << process << " (" << command_of(process) << ")\n";
    return out.str();
}

LeakChecked::~LeakChecked() {
    std::string left;
    eventually([&] { return (left = leaked(before_, Holdings::now())).empty(); }, std::chrono::seconds(5));
    CHECK_MESSAGE(left.empty(), "the test leaves behind:\n" << left);
}

} // namespace berth::test
