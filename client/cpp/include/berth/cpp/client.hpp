// A connection to a supervisor.
#ifndef BERTH_CPP_CLIENT_HPP
#define BERTH_CPP_CLIENT_HPP

#include "context.hpp"

namespace berth {

// Empty or zero is the default that berth_options and berth_open_options name.
struct ConnectOptions {
    enum class Supervisor {
        Any,     // the service, else a private one
        Private, // one of our own, even where a service runs
        Service  // never start one
    };
    Supervisor supervisor = Supervisor::Any;
    std::string socket_path;        // of the service
    std::string module_dir;         // manifests for a private supervisor
    std::uint32_t socket_owner = 0; // a uid whose socket is trusted where it is named, beside root's and one's own
};

struct OpenOptions {
    std::uint32_t max_in_flight = 0;
    Milliseconds open_timeout{0};
};

// Move-only; disconnects at its end. One that is empty (moved from, or disconnected) answers with INVALID_CTX.
class Client {
  public:
    // As berth_connect; an error's text names path and cause.
    static Result<Client> connect(const ConnectOptions &options = {}) {
        berth_options raw{};
        raw.size = sizeof raw;
        raw.flags = options.supervisor == ConnectOptions::Supervisor::Private   ? BERTH_PRIVATE
                    : options.supervisor == ConnectOptions::Supervisor::Service ? BERTH_NO_PRIVATE
                                                                                : 0;
        raw.socket_path = options.socket_path.empty() ? nullptr : options.socket_path.c_str();
        raw.module_dir = options.module_dir.empty() ? nullptr : options.module_dir.c_str();
        raw.socket_owner = options.socket_owner;
        berth_client handle{};
        Reply why;
        raw.why = why.raw();
        int ret = berth_connect(&raw, &handle);
        if (ret != BERTH_RET_OK)
            return Error(ret, why.bytes());
        return Client(handle);
    }

    Client() noexcept = default;
    Client(Client &&other) noexcept : handle_(std::exchange(other.handle_, berth_client{0})) {}
    Client &operator=(Client &&other) noexcept {
        if (this != &other) {
            end();
            handle_ = std::exchange(other.handle_, berth_client{0});
        }
        return *this;
    }
    // Not in a callback of berth's: it could not wait for itself, and the connection would stay.
    ~Client() { end(); }

    explicit operator bool() const noexcept { return handle_.bits != 0; }
    berth_client handle() const noexcept { return handle_; } // for berth.h; it stays this object's to disconnect

    // Opens a context and waits until the module has created its instance from `config`. As berth_open.
    Result<Context> open(const std::string &module, Bytes config = {}, const OpenOptions &options = {}) const {
        berth_open_options raw = raw_options(options);
        berth_context handle{};
        Reply why;
        int ret = berth_open(handle_, module.c_str(), config.data(), config.size(), &raw, &handle, why.raw());
        if (ret != BERTH_RET_OK)
            return Error(ret, why.bytes());
        return Context(handle, std::make_shared<detail::Owed>());
    }

    // The same without waiting. The context takes requests and listeners at once, which queue behind the open.
    // done(const berth::Answer &) is called once; when the open fails, what was queued is answered in the same way. As
    // berth_open_submit.
    template <class Done>
    Result<Context> open_submit(const std::string &module, Bytes config, const OpenOptions &options, Done done) const {
        using Box = detail::AnswerBox<Done>;
        berth_open_options raw = raw_options(options);
        auto owed = std::make_shared<detail::Owed>();
        auto *box = new Box(owed, std::move(done));
        berth_context handle{};
        int ret = berth_open_submit(handle_, module.c_str(), config.data(), config.size(), &raw, &Box::run, box,
                                    &handle);
        if (ret == BERTH_RET_OK)
            return Context(handle, std::move(owed));
        Box::drop(box);
        return Error(ret);
    }

    // Calls a context-free method. As berth_call_static.
    Result<Reply> call_static(const std::string &module, const std::string &method, Bytes request,
                              Milliseconds timeout) const {
        Reply reply;
        int ret = berth_call_static(handle_, module.c_str(), method.c_str(), request.data(), request.size(),
                                    Context::to_ms(timeout), reply.raw());
        if (ret != BERTH_RET_OK)
            return Error(ret, reply.bytes());
        return reply;
    }

    // What the supervisor knows, as CBOR. As berth_status.
    Result<Reply> status() const {
        Reply reply;
        int ret = berth_status(handle_, reply.raw());
        if (ret != BERTH_RET_OK)
            return Error(ret, reply.bytes());
        return reply;
    }

    // Closes every context of the connection and lets it go. BUSY: see berth_disconnect.
    Result<void> disconnect() {
        int ret = berth_disconnect(handle_);
        if (ret != BERTH_RET_BUSY)
            handle_.bits = 0;
        return Result<void>::from(ret);
    }

  private:
    explicit Client(berth_client handle) noexcept : handle_(handle) {}

    static berth_open_options raw_options(const OpenOptions &options) noexcept {
        berth_open_options raw{};
        raw.size = sizeof raw;
        raw.max_in_flight = options.max_in_flight;
        raw.stale_warn_ms = UINT32_MAX; // callbacks here are for answers
        raw.open_timeout_ms = static_cast<std::uint32_t>(Context::to_ms(options.open_timeout));
        return raw;
    }
    void end() noexcept {
        if (handle_.bits)
            berth_disconnect(handle_);
    }

    berth_client handle_{0};
};

} // namespace berth

#endif
