// The environment of workers.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace berth {

// This process's own as K=V, as `environ` has it.
std::vector<std::string> own_environment();

// What a worker has of the daemon's environment, with the manifest's settings over it. Left out is what a service
// manager meant for the daemon alone, and what names its user: that of a worker is another, who looks himself up
// (worker/user_environment.h). Pure.
std::vector<std::string> worker_environment(const std::vector<std::string> &daemons,
                                            const std::map<std::string, std::string> &manifests);

} // namespace berth
