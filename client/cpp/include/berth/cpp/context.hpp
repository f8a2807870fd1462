// One instance of a module's library, alone in a worker process.
#ifndef BERTH_CPP_CONTEXT_HPP
#define BERTH_CPP_CONTEXT_HPP

#include "callbacks.hpp"

#include <chrono>
#include <climits>
#include <future>

namespace berth {

using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kForever{-1}; // a timeout that waits without end

// A method by its id: Context::method. The same for every context, worker and process.
struct Method {
    std::uint32_t id;
};

// How a context ended.
struct Closed {
    enum class Outcome {
        Drained,   // everything was answered
        Cancelled, // something had to be cut off
        Killed     // the worker was killed, or had died
    };
    Outcome outcome = Outcome::Killed;
    std::uint64_t cut_off = 0; // requests answered RECYCLED

    static Closed from(Bytes payload) {
        Closed closed;
        detail::for_each_entry(payload, [&](std::string_view key, const detail::CborValue &value) {
            if (key == "outcome" && value.is_text)
                closed.outcome = value.text == "drained"     ? Outcome::Drained
                                 : value.text == "cancelled" ? Outcome::Cancelled
                                                             : Outcome::Killed;
            else if (key == "cut_off" && !value.is_text)
                closed.cut_off = value.number;
        });
        return closed;
    }
};

// Made by Client::open. Move-only; closes at its end, which waits as close() does. One that is empty (moved from, or
// closed) answers every call with INVALID_CTX. A Client that disconnects closes its contexts; what is left of them then
// answers INVALID_CTX too.
class Context {
  public:
    Context() noexcept = default;
    Context(Context &&other) noexcept { take(other); }
    Context &operator=(Context &&other) noexcept {
        if (this != &other) {
            end();
            take(other);
        }
        return *this;
    }
    ~Context() { end(); }

    explicit operator bool() const noexcept { return handle_.bits != 0; }
    berth_context handle() const noexcept { return handle_; } // for berth.h; it stays this object's to close

    // INVALID_ARGUMENT: the module has no such method. As berth_method.
    Result<Method> method(const std::string &name) const {
        Method method{};
        int ret = berth_method(handle_, name.c_str(), &method.id);
        if (ret != BERTH_RET_OK)
            return Error(ret);
        return method;
    }

    // Calls and waits for the answer, which the calling thread reads itself. As berth_call: past the timeout the error
    // is TIMEOUT, and the module is told to cancel. By its name a method costs one more look-up.
    Result<Reply> call(Method method, Bytes request, Milliseconds timeout) const {
        Result<Reply> result{std::in_place};
        int ret = berth_call(handle_, method.id, request.data(), request.size(), to_ms(timeout), result->raw());
        if (ret != BERTH_RET_OK)
            result = Error(ret, result->bytes());
        return result;
    }
    Result<Reply> call(const std::string &name, Bytes request, Milliseconds timeout) const {
        Result<Method> known = method(name);
        return known ? call(*known, request, timeout) : Result<Reply>(known.error());
    }

    // Sends a request and returns its id; done(const berth::Answer &) is called once, on the context's reply thread. It
    // holds up the context's other answers while it runs. What the module sends on the way (STALE_WARN) is passed over:
    // berth_submit, on handle(), tells it. An error: the request was refused, and `done` will not be called. As
    // berth_submit.
    template <class Done> Result<std::uint64_t> submit(Method method, Bytes request, Done done) const {
        if (!owed_)
            return Error(BERTH_RET_INVALID_CTX);
        using Box = detail::AnswerBox<Done>;
        auto *box = new Box(owed_, std::move(done));
        std::uint64_t id = 0;
        int ret = berth_submit(handle_, method.id, request.data(), request.size(), &Box::run, box, &id);
        if (ret == BERTH_RET_OK)
            return id;
        Box::drop(box);
        return Error(ret);
    }
    template <class Done> Result<std::uint64_t> submit(const std::string &name, Bytes request, Done done) const {
        Result<Method> known = method(name);
        return known ? submit(*known, request, std::move(done)) : Result<std::uint64_t>(known.error());
    }

    // The same as a future, which always gets an answer: an error at once where the request is refused. *id, unless
    // NULL, is for cancel; 0 when refused.
    std::future<Result<Reply>> async(Method method, Bytes request, std::uint64_t *id = nullptr) const {
        std::promise<Result<Reply>> promise;
        std::future<Result<Reply>> future = promise.get_future();
        auto done = [promise = std::move(promise)](const Answer &answer) mutable {
            promise.set_value(answer.result());
        };
        Result<std::uint64_t> sent = submit(method, request, std::move(done));
        if (id)
            *id = sent ? *sent : 0;
        return sent ? std::move(future) : failed(sent.error());
    }
    std::future<Result<Reply>> async(const std::string &name, Bytes request, std::uint64_t *id = nullptr) const {
        Result<Method> known = method(name);
        if (id)
            *id = 0;
        return known ? async(*known, request, id) : failed(known.error());
    }

    // The request's answer is CANCELLED, at once, and the module is told to stop. INVALID_ARGUMENT: no such request is
    // in flight, it may have been answered just now. As berth_cancel.
    Result<void> cancel(std::uint64_t id) const { return Result<void>::from(berth_cancel(handle_, id)); }

    // From here on heard(berth::Bytes) is called for each of the module's events of that name, in order, on the
    // context's event thread. Returns an id for unlisten. As berth_listen.
    template <class Heard> Result<std::uint64_t> listen(const std::string &event, Heard heard) const {
        if (!listeners_)
            return Error(BERTH_RET_INVALID_CTX);
        std::unique_ptr<detail::ListenerBox> box(new detail::ListenerBoxOf<Heard>(std::move(heard)));
        std::uint64_t id = 0;
        int ret = berth_listen(handle_, event.c_str(), &detail::ListenerBox::run, box.get(), &id);
        if (ret != BERTH_RET_OK)
            return Error(ret);
        listeners_->put(id, std::move(box));
        return id;
    }
    // When it returns the callback is gone, or, called from that callback, will be when it returns. INVALID_ARGUMENT:
    // no such listener.
    Result<void> unlisten(std::uint64_t id) const {
        std::unique_ptr<detail::ListenerBox> box = listeners_ ? listeners_->take(id) : nullptr;
        if (!box)
            return Error(listeners_ ? BERTH_RET_INVALID_ARGUMENT : BERTH_RET_INVALID_CTX);
        int ret = berth_unlisten(handle_, id);
        detail::ListenerBox::end(std::move(box));
        return Result<void>::from(ret);
    }

    // Ends the listeners, closes, and waits until the last callback is done; the context is then empty. How long it
    // takes at most is at berth_close; the host's own callbacks may add to it. BUSY: called from a callback of an
    // answer of this context, which cannot wait for itself; nothing was done. EXHAUSTED: no thread to hear the outcome;
    // only the listeners have ended.
    Result<Closed> close() {
        if (!owed_)
            return Error(BERTH_RET_INVALID_CTX);
        if (owed_->runs_here())
            return Error(BERTH_RET_BUSY);
        Result<Closed> result = Error(BERTH_RET_INVALID_CTX);
        auto done = [&result](const Answer &answer) {
            if (answer.ok())
                result = Closed::from(answer.bytes);
            else
                result = Error(answer.ret, answer.bytes);
        };
        int ret = begin_close(done);
        if (ret == BERTH_RET_EXHAUSTED)
            return Error(ret);
        std::shared_ptr<detail::Owed> owed = leave();
        if (ret != BERTH_RET_FORKED) // there nobody is left to call them
            owed->wait_until_none();
        if (ret != BERTH_RET_OK && ret != BERTH_RET_ERR)
            return Error(ret);
        return result;
    }

  private:
    friend class Client;
    Context(berth_context handle, std::shared_ptr<detail::Owed> owed)
        : handle_(handle), owed_(std::move(owed)), listeners_(new detail::Listeners) {}

    static int to_ms(Milliseconds timeout) noexcept {
        if (timeout.count() < 0)
            return -1;
        return timeout.count() > INT_MAX ? INT_MAX : static_cast<int>(timeout.count());
    }
    static std::future<Result<Reply>> failed(const Error &error) {
        std::promise<Result<Reply>> promise;
        promise.set_value(error);
        return promise.get_future();
    }

    // ERR: another close is under way, and `done` was called.
    template <class Done> int begin_close(Done done) {
        end_listeners();
        using Box = detail::AnswerBox<Done>;
        auto *box = new Box(owed_, std::move(done));
        int ret = berth_close(handle_, &Box::run, box);
        if (ret != BERTH_RET_OK && ret != BERTH_RET_ERR)
            Box::drop(box);
        return ret;
    }
    void end_listeners() const {
        for (auto &listener : listeners_->take_all()) {
            berth_unlisten(handle_, listener.first);
            detail::ListenerBox::end(std::move(listener.second));
        }
    }
    std::shared_ptr<detail::Owed> leave() noexcept {
        handle_.bits = 0;
        listeners_.reset();
        return std::move(owed_);
    }
    // In a callback of its own the close is begun, and ends after that callback.
    void end() noexcept {
        if (!owed_)
            return;
        bool own_callback = owed_->runs_here();
        int ret = begin_close([](const Answer &) {});
        if (ret == BERTH_RET_EXHAUSTED)
            berth_close(handle_, nullptr, nullptr);
        std::shared_ptr<detail::Owed> owed = leave();
        if (!own_callback && ret != BERTH_RET_FORKED)
            owed->wait_until_none();
    }
    void take(Context &other) noexcept {
        handle_ = std::exchange(other.handle_, berth_context{0});
        owed_ = std::move(other.owed_);
        listeners_ = std::move(other.listeners_);
    }

    berth_context handle_{0};
    std::shared_ptr<detail::Owed> owed_;
    std::unique_ptr<detail::Listeners> listeners_;
};

} // namespace berth

#endif
