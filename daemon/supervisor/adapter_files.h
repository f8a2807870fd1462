// What a worker with an adapter needs beside its library.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace berth {

// The adapter's library: beside the worker, or in the build tree.
std::string adapter_library(const std::string &worker_program, const std::string &adapter);

// The settings in a sealed memfd, whatever their size, to be read from the start.
Result<UniqueFd> settings_file(const std::string &settings);

} // namespace berth
