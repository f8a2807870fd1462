#include "supervisor/sealed_body.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

namespace berth {

Result<UniqueFd> sealed_body(const char *name, const std::vector<uint8_t> &bytes) {
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    size_t done = 0;
    while (fd && done < bytes.size()) {
        ssize_t wrote = ::pwrite(fd.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
        if (wrote <= 0)
            return Error{1, fmt::format("writing {}: {}", name, std::strerror(errno))};
        done += static_cast<size_t>(wrote);
    }
    if (!fd || ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return Error{1, fmt::format("a memfd for {}: {}", name, std::strerror(errno))};
    return fd;
}

} // namespace berth
