// berth's side of the bench: one context of the echo module, and what is measured on it.
#pragma once

#include <stdexcept>

#include "bench/histogram.h"
#include "session.h"

namespace berth::cli {

// Something that should just have worked; ends the bench.
struct BenchFailure : std::runtime_error {
    BenchFailure(int ret, const std::string &text);
    int ret;
};

class Echo {
  public:
    explicit Echo(const ConnectOptions &options); // throws BenchFailure, as all else here

    // One blocking call; `bytes` come back.
    void call(ByteView bytes);
    void back_to_back(Histogram &samples, uint64_t duration_ns);
    void paced(Histogram &samples, int count, uint64_t pause_ns);
    // One thread, poll mode, `depth` requests of 64 bytes under way.
    double pipelined_per_s(int depth, uint64_t duration_ns);
    // MB (10^6 bytes) of payload echoed a second: one way's bytes, counted once.
    double bandwidth_mb_s(size_t size, uint64_t duration_ns);
    // A second context of the same module, opened and closed again: warm after the first.
    void open_close();
    const Client &client() const { return client_; }

  private:
    void fill(int count);
    int drain(berth_completion *batch, size_t capacity);

    Client client_;
    Context context_;
    uint32_t method_;
    Bytes request_;
};

// From nothing to the first answer: connect with a supervisor of its own, open, call. Nanoseconds.
uint64_t cold_start_ns(const ConnectOptions &options);

} // namespace berth::cli
