// Bodies of answers that are too large for a packet.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace berth {

// A sealed memfd of that name with those bytes; its file offset is at the start.
Result<UniqueFd> sealed_body(const char *name, const std::vector<uint8_t> &bytes);

} // namespace berth
