// libuv handles as C++ values: made in place, closed with their owner, also inside their own callback.
#pragma once

#include <cstdint>
#include <functional>
#include <uv.h>

namespace berth {

// Milliseconds of the monotonic clock.
uint64_t now_ms();

// The handle outlives its owner until libuv lets go of it, so it lives on the heap beside its callback.
template <class Handle> struct UvBox {
    Handle handle{};
    std::function<void(int status, int events)> callback;

    UvBox() { handle.data = this; }
    static UvBox *of(Handle *handle) { return static_cast<UvBox *>(handle->data); }
    void close() {
        uv_close(reinterpret_cast<uv_handle_t *>(&handle),
                 [](uv_handle_t *h) { delete static_cast<UvBox *>(h->data); });
    }
};

class Timer {
  public:
    Timer(uv_loop_t *loop, std::function<void()> due);
    ~Timer() { box_->close(); }
    Timer(const Timer &) = delete;
    Timer &operator=(const Timer &) = delete;

    // Runs once, `ms` from now; started again it runs at the new time only.
    void start(uint64_t ms);
    void stop() { uv_timer_stop(&box_->handle); }

  private:
    UvBox<uv_timer_t> *box_;
};

// Watches a descriptor, which must stay open as long as this lives.
class Poller {
  public:
    // `ready` is given UV_READABLE | UV_WRITABLE; a broken descriptor shows as readable.
    Poller(uv_loop_t *loop, int fd, std::function<void(int events)> ready);
    ~Poller() { box_->close(); }
    Poller(const Poller &) = delete;
    Poller &operator=(const Poller &) = delete;

    // 0: nothing for now.
    void want(int events);

  private:
    static void run(uv_poll_t *handle, int status, int events);
    UvBox<uv_poll_t> *box_;
};

class SignalWatch {
  public:
    SignalWatch(uv_loop_t *loop, int signal, std::function<void()> arrived);
    ~SignalWatch() { box_->close(); }
    SignalWatch(const SignalWatch &) = delete;
    SignalWatch &operator=(const SignalWatch &) = delete;

  private:
    UvBox<uv_signal_t> *box_;
};

} // namespace berth
