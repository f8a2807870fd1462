// A sealed memfd, in the form that Boost.Interprocess maps.
#pragma once

#include <cstdint>
#include <boost/interprocess/mapped_region.hpp>

#include "base/result.h"
#include "base/unique_fd.h"

namespace berth {

class Memfd {
  public:
    // Anonymous memory of `size` bytes that can neither shrink nor grow.
    static Result<Memfd> create(const char *name, uint64_t size);
    // Takes a descriptor from a peer, and checks that it is a memfd whose size cannot change.
    static Result<Memfd> adopt(UniqueFd fd);

    int fd() const { return fd_.get(); }
    uint64_t size() const { return size_; }
    UniqueFd release() { return std::move(fd_); }

    boost::interprocess::mapping_handle_t get_mapping_handle() const {
        return boost::interprocess::ipcdetail::mapping_handle_from_file_handle(fd_.get());
    }

  private:
    Memfd(UniqueFd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}
    UniqueFd fd_;
    uint64_t size_;
};

// Maps all of it, shared and writable.
Result<boost::interprocess::mapped_region> map_memfd(const Memfd &memfd);

} // namespace berth
