#include "supervisor/worker_env.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unistd.h>

namespace berth {
namespace {

constexpr std::string_view kDaemonsOwn[] = {"NOTIFY_SOCKET",  "LISTEN_FDS",    "LISTEN_PID",     "LISTEN_FDNAMES",
                                            "WATCHDOG_USEC",  "WATCHDOG_PID",  "STATE_DIRECTORY"};

bool is_daemons_own(std::string_view variable) {
    return std::find(std::begin(kDaemonsOwn), std::end(kDaemonsOwn), variable) != std::end(kDaemonsOwn);
}

} // namespace

std::vector<std::string> worker_environment(const std::map<std::string, std::string> &manifest_env) {
    std::vector<std::string> out;
    for (char **at = environ; at && *at; at++) {
        std::string_view entry = *at;
        auto variable = entry.substr(0, entry.find('='));
        if (!is_daemons_own(variable) && !manifest_env.contains(std::string(variable)))
            out.emplace_back(entry);
    }
    for (const auto &[variable, value] : manifest_env)
        out.push_back(variable + "=" + value);
    return out;
}

} // namespace berth
