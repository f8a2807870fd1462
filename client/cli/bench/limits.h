// What this machine allows, without berth: 64 bytes there and back between two processes, over a shared cache line
// or over a unix socket.
#pragma once

#include <memory>

#include "bench/histogram.h"

namespace berth::cli {

// A peer process that answers, and sleeps between two measurements. `limits.cpp` says how each waits.
class Limit {
  public:
    virtual ~Limit() = default;
    virtual void back_to_back(Histogram &samples, uint64_t duration_ns) = 0;
    virtual void paced(Histogram &samples, int count, uint64_t pause_ns) = 0;
};

std::unique_ptr<Limit> make_spin_limit();
std::unique_ptr<Limit> make_futex_limit();

class SocketLimit : public Limit {
  public:
    // 64-byte messages a second with `depth` of them under way, one system call for each.
    virtual double pipelined_per_s(int depth, uint64_t duration_ns) = 0;
};

std::unique_ptr<SocketLimit> make_socket_limit();

} // namespace berth::cli
