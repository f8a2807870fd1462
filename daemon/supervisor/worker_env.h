// The environment of workers.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace berth {

// The daemon's own as K=V, without what systemd meant for the daemon alone, with the manifest's settings over it.
std::vector<std::string> worker_environment(const std::map<std::string, std::string> &manifest_env);

} // namespace berth
