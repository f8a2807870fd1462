// libberth's handles, owned.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "berth/berth.h"
#include "codec.h"
#include "options.h"

namespace berth::cli {

class Reply {
  public:
    Reply() = default;
    Reply(const Reply &) = delete;
    Reply &operator=(const Reply &) = delete;
    ~Reply() { berth_reply_free(&raw_); }
    berth_reply *raw() { return &raw_; }
    ByteView bytes() const { return {raw_.data, raw_.data ? raw_.len : 0}; }
    std::string text() const { return {bytes().begin(), bytes().end()}; }

  private:
    berth_reply raw_{};
};

template <class Handle, auto kGiveBack> class Owned {
  public:
    explicit Owned(Handle handle) : handle_(handle) {}
    Owned(Owned &&other) noexcept : handle_(std::exchange(other.handle_, Handle{0})) {}
    Owned &operator=(Owned &&) = delete;
    ~Owned() {
        if (handle_.bits)
            kGiveBack(handle_);
    }
    Handle get() const { return handle_; }

  private:
    Handle handle_;
};

inline void close_context(berth_context context) { berth_close(context, nullptr, nullptr); }

using Client = Owned<berth_client, berth_disconnect>;
using Context = Owned<berth_context, close_context>;

Result<Client> connect(const ConnectOptions &options);
Result<Context> open(const Client &client, const std::string &module, ByteView config);
Result<uint32_t> method(const Context &context, const std::string &name);

} // namespace berth::cli
