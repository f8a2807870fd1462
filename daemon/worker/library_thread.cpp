#include "worker/library_thread.h"

#include <cstdio>
#include <cstring>
#include <string>

#include "futex.h"
#include "kill_point.h"
#include "status.h"
#include "worker/doing.h"

namespace berth {
namespace {

constexpr uint32_t kOk = 0, kErr = 1, kRecycled = 11, kCancelled = 17;
constexpr uint64_t kTrimAfterNs = 1'000'000'000;
constexpr size_t kKeepCopy = size_t{1} << 20; // a larger private copy is given back when the context idles

constexpr char kNeedsContext[] = " needs a context, and none was created";
constexpr std::string_view kCutOff = BERTH_TEXT_CUT_OFF;
constexpr std::string_view kStuck = BERTH_TEXT_EVENTS_STUCK;
constexpr std::string_view kGivenUp = BERTH_TEXT_CANCELLED;

void write_eventfd(int eventfd) {
    uint64_t one = 1;
    while (::write(eventfd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

} // namespace

void LibraryThread::serve_lease() {
    serve();
    own_calls_.close();
    std::lock_guard lock(phase_lock_);
    phase_ = LeasePhase::Over;
}

void LibraryThread::start(const Lease &lease) {
    std::lock_guard lock(phase_lock_);
    lease_ = &lease;
    berth_ring_attach_consumer(&ring_, lease.segment.control(BERTH_RING_REQUEST),
                               lease.segment.bytes(BERTH_RING_REQUEST), lease.segment.capacity(BERTH_RING_REQUEST));
    end_ = {};
    why_closed_.clear();
    first_ = true;
    turns_ = 0;
    announce_ = lease.gated;
    __atomic_store_n(&gate_, !lease.gated, __ATOMIC_SEQ_CST);
    own_calls_.open(module_, lease);
    phase_ = LeasePhase::Serving;
}

void LibraryThread::advance_to(LeasePhase phase) {
    if (phase == LeasePhase::Cutting)
        own_calls_.begin_cutting();
    reach(phase);
    poke();
}

void LibraryThread::reach(LeasePhase phase) {
    std::lock_guard lock(phase_lock_);
    if (phase_.load() < phase)
        phase_ = phase;
}

void LibraryThread::next_lease() {
    std::lock_guard lock(phase_lock_);
    phase_ = LeasePhase::None;
}

void LibraryThread::explain_close(const std::string &why) {
    std::lock_guard lock(phase_lock_);
    if (phase_.load() == LeasePhase::Serving)
        why_closed_ = why;
}

void LibraryThread::announce_teardown() { announce_ = true; }

void LibraryThread::allow_teardown() {
    __atomic_store_n(&gate_, 1, __ATOMIC_SEQ_CST);
    berth_futex_wake(&gate_, 1);
}

void LibraryThread::poke() {
    __atomic_store_n(&lease_->segment.header()->closing, 1, __ATOMIC_SEQ_CST); // where it looks while it spins
    __atomic_fetch_add(&poke_, 1, __ATOMIC_SEQ_CST);
    berth_futex_wake(&poke_, 1);
    berth_ring_kick(lease_->segment.control(BERTH_RING_REQUEST));
}

void LibraryThread::cancel(uint64_t id) {
    if (answers_.mark_cancelled(id))
        ask_to_stop(id);
}

void LibraryThread::ask_to_stop(uint64_t id) {
    if (!module_.abi().cancel)
        return;
    // Busy: create or destroy runs, beside which no hook may.
    std::unique_lock lock(module_lock_, std::try_to_lock);
    if (lock && created_)
        module_.abi().cancel(instance_, id);
}

void LibraryThread::cancel_outstanding() {
    answers_.for_each_outstanding([this](uint64_t id) { cancel(id); });
    uint64_t ids[OwnCalls::kMost];
    for (uint32_t i = 0, count = own_calls_.mark_cancelled(ids); i < count; i++)
        ask_to_stop(ids[i]);
}

void LibraryThread::broke(const char *why) {
    end_.host_broke = why;
    answers_.give_up();
}

// By the control thread, or by the host itself: its CLOSE comes through the control thread, which keeps the bounds, but
// a library that has nothing to do need not wait for that.
bool LibraryThread::asked_to_close() const {
    return phase_.load(std::memory_order_acquire) >= LeasePhase::Draining ||
           __atomic_load_n(&lease_->segment.header()->closing, __ATOMIC_ACQUIRE);
}

// Until nothing is left to do: no frame, no call of the module's own, and nothing outstanding once the lease drains.
// One of each in turn, so that neither keeps the other waiting.
void LibraryThread::serve() {
    while (end_.host_broke.empty()) {
        bool served = serve_one();
        if (own_calls_.any())
            served |= serve_own_call();
        if (answers_.host_lies())
            broke("the index of a reply or event ring cannot be");
        if (served)
            continue;
        if (!asked_to_close()) {
            wait_for_frame();
            continue;
        }
        own_calls_.close();
        if (serve_one() || serve_own_call()) // what was sent before the word came
            continue;
        bool all_answered = answers_.outstanding() == 0 && own_calls_.outstanding() == 0;
        if (all_answered || phase_.load(std::memory_order_acquire) >= LeasePhase::Cut)
            break;
        wait_for_answers();
    }
    // A host that broke the rules costs the worker its life; nothing of the library is worth a wait.
    if (end_.host_broke.empty())
        tear_down();
}

bool LibraryThread::serve_one() {
    berth_frame_header header;
    const uint8_t *payload;
    int rc = berth_ring_peek(&ring_, &header, &payload);
    if (rc == 0)
        return false;
    if (rc < 0) {
        broke("a frame or an index in the request ring cannot be");
        return false;
    }
    if (header.kind == BERTH_FRAME_CREATE && first_)
        create(header, payload);
    else if (header.kind == BERTH_FRAME_REQUEST)
        request(header, payload);
    else
        broke("a frame of the wrong kind in the request ring");
    first_ = false;
    return end_.host_broke.empty();
}

bool LibraryThread::lacks_context(uint32_t method) const {
    return !created_ && !(module_.abi().methods[method].flags & BERTH_METHOD_STATIC);
}

// The host can change ring bytes at any time, so what the module reads is ours, unless it says that it does not mind.
const uint8_t *LibraryThread::private_copy(const uint8_t *payload, size_t len) {
    if (module_.abi().flags & BERTH_MODULE_SHARED_PAYLOADS)
        return payload;
    if (copy_.size() < len || copy_.empty())
        copy_.resize(len < 4096 ? 4096 : len);
    std::memcpy(copy_.data(), payload, len);
    return copy_.data();
}

void LibraryThread::create(const berth_frame_header &header, const uint8_t *payload) {
    char why[4096] = "";
    if (!answers_.begin(header.id))
        return broke("a request id that cannot be");
    int rc = 0;
    if (module_.abi().create) {
        std::lock_guard lock(module_lock_);
        Doing doing(BERTH_DOING_CREATE, 0, 0, header.size);
        rc = module_.abi().create(private_copy(payload, header.size), header.size, &instance_, why, sizeof why);
    }
    BERTH_KILL_POINT("worker.created");
    berth_ring_advance(&ring_);
    why[sizeof why - 1] = 0;
    {
        std::lock_guard lock(module_lock_);
        created_ = rc == 0;
    }
    if (created_) {
        answers_.reply(header.id, kOk, "\xf6", 1);
        BERTH_KILL_POINT("worker.create_answered");
        return;
    }
    answers_.reply(header.id, kErr, why, std::strlen(why));
    // The host takes this as the end of the context; nothing else comes.
    reach(LeasePhase::Draining);
}

void LibraryThread::request(const berth_frame_header &header, const uint8_t *payload) {
    if (!answers_.begin(header.id))
        return broke("a request id that cannot be, or is in flight already");
    int method = module_.method_index(header.code);
    if (phase_.load(std::memory_order_acquire) >= LeasePhase::Cutting) {
        answers_.reply(header.id, kRecycled, kCutOff.data(), kCutOff.size());
    } else if (answers_.is_cancelled(header.id)) {
        answers_.reply(header.id, kCancelled, kGivenUp.data(), kGivenUp.size());
    } else if (answers_.events_stuck()) {
        answers_.reply(header.id, kErr, kStuck.data(), kStuck.size());
    } else if (method < 0) {
        std::string text = BERTH_TEXT_NOT_IMPLEMENTED + std::to_string(header.code);
        answers_.reply(header.id, kErr, text.data(), text.size());
    } else if (lacks_context(static_cast<uint32_t>(method))) {
        std::string text = std::string(module_.abi().methods[method].name) + kNeedsContext;
        answers_.reply(header.id, kErr, text.data(), text.size());
    } else {
        handle(header, static_cast<uint32_t>(method), payload);
        return;
    }
    berth_ring_advance(&ring_);
}

// The host judges by it whether we get on.
void LibraryThread::turn() {
    __atomic_store_n(&lease_->segment.header()->handler_turns, ++turns_, __ATOMIC_RELAXED);
}

void LibraryThread::handle(const berth_frame_header &header, uint32_t method, const uint8_t *payload) {
    const uint8_t *data = private_copy(payload, header.size);
    bool copied = data != payload;
    // A copied frame's room goes back before the call, so that a slow handler does not fill the ring.
    if (copied)
        berth_ring_advance(&ring_);
    BERTH_KILL_POINT("worker.request_taken");
    run(method, header.id, data, header.size);
    BERTH_KILL_POINT("worker.handler_returned");
    if (!copied)
        berth_ring_advance(&ring_);
}

inline void LibraryThread::run(uint32_t method, uint64_t id, const uint8_t *data, size_t len) {
    bool context_free = module_.abi().methods[method].flags & BERTH_METHOD_STATIC;
    turn();
    {
        Doing doing(BERTH_DOING_REQUEST, method, id, len);
        module_.abi().handle(context_free ? nullptr : instance_, method, id, data, len);
    }
    turn();
}

// Refused as a host's request would be. False: there is none.
bool LibraryThread::serve_own_call() {
    auto call = own_calls_.take();
    if (!call)
        return false;
    if (phase_.load(std::memory_order_acquire) >= LeasePhase::Cutting) {
        own_calls_.reply(call->id, kRecycled, kCutOff.data(), kCutOff.size());
    } else if (answers_.events_stuck()) {
        own_calls_.reply(call->id, kErr, kStuck.data(), kStuck.size());
    } else if (lacks_context(call->method)) {
        char text[320];
        int len = std::snprintf(text, sizeof text, "%s%s", module_.abi().methods[call->method].name, kNeedsContext);
        own_calls_.reply(call->id, kErr, text, static_cast<size_t>(len));
    } else {
        run(call->method, call->id, call->bytes(), call->len);
    }
    return true;
}

// Answers from other threads are counted, not announced: look again soon. Bounded by the close itself.
void LibraryThread::wait_for_answers() {
    berth_futex_wait(&poke_, __atomic_load_n(&poke_, __ATOMIC_SEQ_CST), berth_now_ns() + 200'000);
}

void LibraryThread::wait_for_frame() {
    uint32_t poke = __atomic_load_n(&poke_, __ATOMIC_SEQ_CST);
    uint64_t started;
    const uint32_t *closing = &lease_->segment.header()->closing;
    if (berth_ring_spin_beside(&ring_, &spin_, closing, 0, own_calls_.queued(), 0, &started)) {
        berth_step_aside_after(&step_aside_, &spin_, 1);
        return;
    }
    sleep_on_ring(poke);
    if (started)
        berth_spin_learn(&spin_, berth_now_ns() - started);
    berth_step_aside_after(&step_aside_, &spin_, 0);
}

void LibraryThread::sleep_on_ring(uint32_t poke) {
    if (!berth_ring_prepare_wait(&ring_, BERTH_ASLEEP_FUTEX))
        return;
    bool trim = answers_.wants_trim() || copy_.size() > kKeepCopy;
    int rc = 0;
    if (__atomic_load_n(&poke_, __ATOMIC_SEQ_CST) == poke && own_calls_.none_before_sleep() && !asked_to_close())
        rc = berth_ring_sleep(&ring_, trim ? berth_now_ns() + kTrimAfterNs : 0);
    berth_ring_finish_wait(&ring_);
    if (rc == -ETIMEDOUT && trim) {
        answers_.trim();
        copy_ = {};
    }
}

std::string LibraryThread::why_closed() {
    std::lock_guard lock(phase_lock_);
    return why_closed_;
}

// Bounded: however many others are torn down, this one goes on after its drain timeout.
void LibraryThread::wait_for_gate() {
    uint64_t until = berth_now_ns() + uint64_t{lease_->drain_ms} * 1'000'000;
    while (!__atomic_load_n(&gate_, __ATOMIC_SEQ_CST) && berth_now_ns() < until)
        berth_futex_wait(&gate_, 0, until);
}

void LibraryThread::tear_down() {
    bool was_created;
    BERTH_KILL_POINT("worker.drained");
    own_calls_.cut_off(); // before the host's requests, as what answers one may answer the other
    answers_.cut_off();
    end_.cut_off = answers_.recycled();
    end_.outcome = end_.cut_off || own_calls_.recycled() ? BERTH_CANCELLED : BERTH_DRAINED;
    reach(LeasePhase::Teardown);
    if (announce_)
        write_eventfd(teardown_eventfd_);
    BERTH_KILL_POINT("worker.at_gate");
    wait_for_gate();
    {
        std::lock_guard lock(module_lock_);
        was_created = created_;
        created_ = false;
        if (was_created && module_.abi().destroy) {
            Doing doing(BERTH_DOING_DESTROY);
            module_.abi().destroy(instance_);
        }
        instance_ = nullptr;
    }
    BERTH_KILL_POINT("worker.destroyed");
    answers_.closed(end_.outcome, end_.cut_off, why_closed());
    BERTH_KILL_POINT("worker.closed_sent");
    answers_.detach();
    copy_ = {};
}

} // namespace berth
