// Crash reports as files, for who comes after a restart of the daemon.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace berth {

constexpr size_t kMostCrashFiles = 64;

// Writes the CBOR map as JSON to `folder`/crash-TIME-MODULE-PID.json (mode 0600), and takes the oldest such files away
// until there are no more than kMostCrashFiles. An error names file and reason.
Result<bool> write_crash_file(const std::string &folder, const std::vector<uint8_t> &report);

} // namespace berth
