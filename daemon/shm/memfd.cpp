#include "shm/memfd.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace berth {
namespace {
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Error failed(const char *what) { return Error{14, std::string(what) + ": " + std::strerror(errno)}; }
} // namespace

Result<Memfd> Memfd::create(const char *name, uint64_t size) {
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd)
        return failed("memfd_create");
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
        return failed("ftruncate");
    if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0)
        return failed("F_ADD_SEALS");
    return Memfd(std::move(fd), size);
}

Result<Memfd> Memfd::adopt(UniqueFd fd) {
    struct statfs filesystem;
    struct stat file;
    int seals = ::fcntl(fd.get(), F_GET_SEALS);
    if (seals < 0 || (seals & kSeals) != kSeals)
        return Error{14, "the segment is not a memfd with its size sealed"};
    if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return Error{14, "the segment is sealed against writing"};
    // A memfd of huge pages would raise SIGBUS in whoever touches a page that is not to be had.
    if (::fstatfs(fd.get(), &filesystem) != 0 || filesystem.f_type != TMPFS_MAGIC)
        return Error{14, "the segment is not ordinary anonymous memory"};
    if (::fstat(fd.get(), &file) != 0)
        return failed("fstat");
    return Memfd(std::move(fd), static_cast<uint64_t>(file.st_size));
}

Result<boost::interprocess::mapped_region> map_memfd(const Memfd &memfd) {
    using namespace boost::interprocess;
    try {
        mapped_region region(memfd, read_write, 0, memfd.size());
        // Sparse: a core would read every page of it into being, and the host wait for it.
        ::madvise(region.get_address(), region.get_size(), MADV_DONTDUMP);
        return region;
    } catch (const interprocess_exception &e) {
        return Error{1, std::string("mapping the segment: ") + e.what()};
    }
}

} // namespace berth
