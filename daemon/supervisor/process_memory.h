// What a process holds of memory.
#pragma once

#include <cstdint>
#include <sys/types.h>

namespace berth {

// Resident bytes; 0 when the process is gone.
uint64_t rss_bytes(pid_t pid);

} // namespace berth
