#include "supervisor/loop.h"

namespace berth {

uint64_t now_ms() { return uv_hrtime() / 1'000'000; }

Timer::Timer(uv_loop_t *loop, std::function<void()> due) : box_(new UvBox<uv_timer_t>) {
    box_->callback = [due = std::move(due)](int, int) { due(); };
    uv_timer_init(loop, &box_->handle);
}

void Timer::start(uint64_t ms) {
    // The loop's idea of now is as old as its turn, and a spawn makes for long turns.
    uv_update_time(box_->handle.loop);
    uv_timer_start(
        &box_->handle, [](uv_timer_t *h) { UvBox<uv_timer_t>::of(h)->callback(0, 0); }, ms, 0);
}

Poller::Poller(uv_loop_t *loop, int fd, std::function<void(int)> ready) : box_(new UvBox<uv_poll_t>) {
    box_->callback = [ready = std::move(ready)](int status, int events) { ready(status < 0 ? UV_READABLE : events); };
    uv_poll_init(loop, &box_->handle, fd);
    want(UV_READABLE);
}

void Poller::run(uv_poll_t *handle, int status, int events) { UvBox<uv_poll_t>::of(handle)->callback(status, events); }

void Poller::want(int events) {
    if (events)
        uv_poll_start(&box_->handle, events, run);
    else
        uv_poll_stop(&box_->handle);
}

SignalWatch::SignalWatch(uv_loop_t *loop, int signal, std::function<void()> arrived) : box_(new UvBox<uv_signal_t>) {
    box_->callback = [arrived = std::move(arrived)](int, int) { arrived(); };
    uv_signal_init(loop, &box_->handle);
    uv_signal_start(
        &box_->handle, [](uv_signal_t *h, int) { UvBox<uv_signal_t>::of(h)->callback(0, 0); }, signal);
}

} // namespace berth
