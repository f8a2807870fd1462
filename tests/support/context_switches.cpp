#include "context_switches.h"

#include <filesystem>
#include <map>
#include <sstream>
#include <unistd.h>

#include "processes.h"

namespace berth::test {
namespace {

using Counts = std::map<std::string, long>;

void add_thread(Counts &counts, const std::string &task) {
    std::istringstream status(read_file(task + "/status"));
    std::string name;
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("Name:", 0) == 0)
            name = line.substr(6);
        if (line.rfind("voluntary_ctxt_switches:", 0) == 0)
            counts[task + " " + name] = std::stol(line.substr(24));
    }
}

Counts switches(const std::vector<pid_t> &processes) {
    Counts counts;
    std::string own = "/proc/" + std::to_string(::getpid()) + "/task/" + std::to_string(::getpid());
    auto add = [&](pid_t pid) {
        std::error_code error;
        for (const auto &task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error))
            if (task.path().string() != own) // this thread sleeps and wakes
                add_thread(counts, task.path().string());
    };
    for (pid_t pid : processes)
        add(pid);
    add(::getpid());
    return counts;
}

} // namespace

std::string quiet_for_ten_seconds(const std::vector<pid_t> &processes) {
    sleep_ms(7000); // the progress ping that is armed by a submission, and spares, are over by then
    Counts before = switches(processes);
    sleep_ms(10000);
    std::ostringstream woke;
    for (const auto &[thread, count] : switches(processes))
        if (count != before[thread])
            woke << thread << " woke " << count - before[thread] << " times\n";
    return woke.str();
}

} // namespace berth::test
