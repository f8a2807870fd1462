#include "supervisor/process_memory.h"

#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace berth {

uint64_t rss_bytes(pid_t pid) {
    UniqueFd file(::open(fmt::format("/proc/{}/statm", pid).c_str(), O_RDONLY | O_CLOEXEC));
    char text[128] = {};
    unsigned long long pages = 0;
    if (!file || ::read(file.get(), text, sizeof text - 1) <= 0 || std::sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace berth
