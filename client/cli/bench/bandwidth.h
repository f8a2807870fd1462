// What memcpy allows: the bound for large payloads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace berth::cli {

inline constexpr size_t kPayloadSizes[] = {64, 1024, 4096, 65536, 262144, 1048576, 4194304, 16777216};
inline constexpr size_t kLargestPayload = 16777216;
// An echo copies its payload host → ring, ring → ring, ring → host. The bundled echo reads it in place
// (BERTH_MODULE_SHARED_PAYLOADS); a module that wants a private copy has a fourth, and counting it here would flatter.
inline constexpr int kEchoCopies = 3;

// The echo's three copies and nothing else: two processes on two CPUs, shared memory, one flag each way. A payload
// that another core has just written costs several times one that is in the reader's own cache, and every payload of
// a call is such a one; so this, and not memcpy in one thread's cache, is what the copies allow.
class MemcpyLimit {
  public:
    virtual ~MemcpyLimit() = default;
    // MB (10^6 bytes) copied a second, all three copies counted, in payloads of `size`.
    virtual double mb_s(size_t size, uint64_t duration_ns) = 0;
};

std::unique_ptr<MemcpyLimit> make_memcpy_limit();

// MB copied a second by one thread between buffers of its own: for comparison.
double memcpy_local_mb_s(size_t size, uint64_t duration_ns);

} // namespace berth::cli
