#include "supervisor/adapter_files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/mman.h>
#include <unistd.h>

namespace berth {
namespace {

bool write_all(int fd, const std::string &bytes) {
    for (size_t at = 0; at < bytes.size();) {
        ssize_t wrote = ::write(fd, bytes.data() + at, bytes.size() - at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        at += static_cast<size_t>(wrote);
    }
    return ::lseek(fd, 0, SEEK_SET) == 0;
}

} // namespace

std::string adapter_library(const std::string &worker_program, const std::string &adapter) {
    auto folder = std::filesystem::path(worker_program).parent_path();
    auto name = "libberth-" + adapter + ".so";
    auto in_tree = (folder / "../adapters" / name).lexically_normal();
    auto beside = folder / name;
    return ::access(beside.c_str(), R_OK) != 0 && ::access(in_tree.c_str(), R_OK) == 0 ? in_tree : beside;
}

Result<UniqueFd> settings_file(const std::string &settings) {
    UniqueFd fd(::memfd_create("berth-adapter", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || !write_all(fd.get(), settings) ||
        ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return Error{1, std::string("the adapter's settings: ") + std::strerror(errno)};
    return fd;
}

} // namespace berth
