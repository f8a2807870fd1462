#include "supervisor/worker_env.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unistd.h>

namespace berth {
namespace {

// systemd.exec(5), "Environment variables in spawned processes", and sd_listen_fds(3), sd_notify(3).
constexpr auto kServices = std::to_array<std::string_view>(
    {"CACHE_DIRECTORY", "CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY", "FDSTORE", "INVOCATION_ID",
     "JOURNAL_STREAM", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LOGS_DIRECTORY", "MAINPID", "MANAGERPID",
     "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "STATE_DIRECTORY",
     "SYSTEMD_EXEC_PID", "WATCHDOG_PID", "WATCHDOG_USEC"});
constexpr auto kUsers = std::to_array<std::string_view>({"HOME", "LOGNAME", "MAIL", "SHELL", "USER"});

template <class Names> bool has(const Names &names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

} // namespace

std::vector<std::string> own_environment() {
    std::vector<std::string> out;
    for (char **at = environ; at && *at; at++)
        out.emplace_back(*at);
    return out;
}

std::vector<std::string> worker_environment(const std::vector<std::string> &daemons,
                                            const std::map<std::string, std::string> &manifests) {
    std::vector<std::string> out;
    for (const std::string &entry : daemons) {
        std::string name = entry.substr(0, entry.find('='));
        if (!has(kServices, name) && !has(kUsers, name) && !manifests.contains(name))
            out.push_back(entry);
    }
    for (const auto &[name, value] : manifests)
        out.push_back(name + "=" + value);
    return out;
}

} // namespace berth
