#include "bench/calls.h"

#include "bench/timing.h"

namespace berth::cli {
namespace {

constexpr size_t kMessage = 64;
constexpr size_t kReapBatch = 256;

template <class T> T must(Result<T> result, const char *what) {
    if (!result)
        throw BenchFailure(result.error().ret, std::string(what) + ": " + result.error().text);
    return std::move(*result);
}

void must(int ret, const char *what) {
    if (ret != BERTH_RET_OK)
        throw BenchFailure(ret, what);
}

} // namespace

BenchFailure::BenchFailure(int code, const std::string &text)
    : std::runtime_error(std::string(berth_ret_name(code)) + ": " + text), ret(code) {}

Echo::Echo(const ConnectOptions &options)
    : client_(must(connect(options), "connect")), context_(must(open(client_, "echo", Bytes{0xa0}), "open echo")),
      method_(must(method(context_, "echo"), "echo")), request_(kMessage, 0x42) {}

void Echo::call(ByteView bytes) {
    berth_reply reply{};
    int ret = berth_call(context_.get(), method_, bytes.data(), bytes.size(), -1, &reply);
    bool whole = reply.len == bytes.size();
    berth_reply_free(&reply);
    must(ret, "berth_call");
    if (!whole)
        throw BenchFailure(BERTH_RET_PROTOCOL, "an echo of another length");
}

void Echo::back_to_back(Histogram &samples, uint64_t duration_ns) {
    time_back_to_back(samples, duration_ns, [this] { call(request_); });
}

void Echo::paced(Histogram &samples, int count, uint64_t pause) {
    time_paced(samples, count, pause, [this] { call(request_); });
}

void Echo::fill(int count) {
    uint64_t id;
    for (int i = 0; i < count; i++)
        must(berth_submit(context_.get(), method_, request_.data(), request_.size(), nullptr, nullptr, &id),
             "berth_submit");
}

int Echo::drain(berth_completion *batch, size_t capacity) {
    int count = berth_reap(context_.get(), batch, capacity, -1);
    if (count < 0)
        must(-count, "berth_reap");
    int answers = 0;
    for (int i = 0; i < count; i++) {
        if (batch[i].kind != BERTH_REPLY)
            continue;
        must(batch[i].ret, "a pipelined request");
        answers++;
    }
    return answers;
}

double Echo::pipelined_per_s(int depth, uint64_t duration_ns) {
    static berth_completion batch[kReapBatch];
    fill(depth);
    double rate = rate_per_s(duration_ns, [this] {
        int answers = drain(batch, kReapBatch);
        fill(answers);
        return static_cast<uint64_t>(answers);
    });
    for (int left = depth; left > 0;)
        left -= drain(batch, kReapBatch);
    return rate;
}

double Echo::bandwidth_mb_s(size_t size, uint64_t duration_ns) {
    Bytes bytes(size, 0x5a);
    call(bytes); // the ring's and the reply's pages are there before the clock runs
    size_t batch = size < 65536 ? 65536 / size : 1;
    double echoes = rate_per_s(duration_ns, [&] {
        for (size_t i = 0; i < batch; i++)
            call(bytes);
        return batch;
    });
    return echoes * static_cast<double>(size) / 1e6;
}

void Echo::open_close() { must(open(client_, "echo", Bytes{0xa0}), "open echo again"); }

uint64_t cold_start_ns(const ConnectOptions &options) {
    ConnectOptions own = options;
    own.force_private = true;
    own.socket.clear();
    uint64_t started = now_ns();
    Echo echo(own);
    echo.call(Bytes(kMessage));
    return now_ns() - started;
}

} // namespace berth::cli
