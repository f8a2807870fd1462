// A request taken from files as it is, without JSON.
#pragma once

#include "codec.h"

namespace berth::cli {

// The files' bytes, one after the other; "-" is stdin.
Result<Bytes> read_raw_request(const std::vector<std::string> &files);

} // namespace berth::cli
