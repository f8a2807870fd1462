#include "worker/library_thread.h"

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
    std::lock_guard lock(phase_lock_);
    phase_ = LeasePhase::Over;
}

void LibraryThread::start(const Lease &lease) {
    std::lock_guard lock(phase_lock_);
    lease_ = &lease;
    berth_ring_attach_consumer(&ring_, lease.segment.control(BERTH_RING_REQUEST),
                               lease.segment.bytes(BERTH_RING_REQUEST), lease.segment.capacity(BERTH_RING_REQUEST));
    end_ = {};
    first_ = true;
    turns_ = 0;
    announce_ = lease.gated;
    __atomic_store_n(&gate_, !lease.gated, __ATOMIC_SEQ_CST);
    phase_ = LeasePhase::Serving;
}

void LibraryThread::advance_to(LeasePhase phase) {
    std::lock_guard lock(phase_lock_);
    // Teardown and Over are the library thread's to say.
    if (phase_.load() < phase)
        phase_ = phase;
    poke();
}

void LibraryThread::next_lease() {
    std::lock_guard lock(phase_lock_);
    phase_ = LeasePhase::None;
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
    if (!answers_.mark_cancelled(id) || !module_.abi().cancel)
        return;
    // Busy: create or destroy runs, beside which no hook may.
    std::unique_lock lock(module_lock_, std::try_to_lock);
    if (lock && created_)
        module_.abi().cancel(instance_, id);
}

void LibraryThread::cancel_outstanding() {
    answers_.for_each_outstanding([this](uint64_t id) { cancel(id); });
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

// Until nothing is left to do: no frame, and nothing outstanding once the lease drains.
void LibraryThread::serve() {
    while (end_.host_broke.empty()) {
        bool served = serve_one();
        if (answers_.host_lies())
            broke("the index of a reply or event ring cannot be");
        if (served)
            continue;
        if (!asked_to_close())
            wait_for_frame();
        else if (serve_one()) // what was sent before the word came
            continue;
        else if (answers_.outstanding() == 0 || phase_.load(std::memory_order_acquire) >= LeasePhase::Cut)
            break;
        else
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
    advance_to(LeasePhase::Draining);
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
    } else if (!created_ && !(module_.abi().methods[method].flags & BERTH_METHOD_STATIC)) {
        std::string text = std::string(module_.abi().methods[method].name) + " needs a context, and none was created";
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
    bool context_free = module_.abi().methods[method].flags & BERTH_METHOD_STATIC;
    const uint8_t *data = private_copy(payload, header.size);
    bool copied = data != payload;
    // A copied frame's room goes back before the call, so that a slow handler does not fill the ring.
    if (copied)
        berth_ring_advance(&ring_);
    turn();
    BERTH_KILL_POINT("worker.request_taken");
    {
        Doing doing(BERTH_DOING_REQUEST, method, header.id, header.size);
        module_.abi().handle(context_free ? nullptr : instance_, method, header.id, data, header.size);
    }
    BERTH_KILL_POINT("worker.handler_returned");
    turn();
    if (!copied)
        berth_ring_advance(&ring_);
}

// Answers from other threads are counted, not announced: look again soon. Bounded by the close itself.
void LibraryThread::wait_for_answers() {
    berth_futex_wait(&poke_, __atomic_load_n(&poke_, __ATOMIC_SEQ_CST), berth_now_ns() + 200'000);
}

void LibraryThread::wait_for_frame() {
    uint32_t poke = __atomic_load_n(&poke_, __ATOMIC_SEQ_CST);
    uint64_t started;
    if (berth_ring_spin(&ring_, &spin_, &lease_->segment.header()->closing, 0, 0, &started)) {
        step_aside_.after_wait(spin_);
        return;
    }
    sleep_on_ring(poke);
    if (started)
        berth_spin_learn(&spin_, berth_now_ns() - started);
}

void LibraryThread::sleep_on_ring(uint32_t poke) {
    if (!berth_ring_prepare_wait(&ring_, BERTH_ASLEEP_FUTEX))
        return;
    bool trim = answers_.wants_trim() || copy_.size() > kKeepCopy;
    int rc = 0;
    if (__atomic_load_n(&poke_, __ATOMIC_SEQ_CST) == poke && !asked_to_close())
        rc = berth_ring_sleep(&ring_, trim ? berth_now_ns() + kTrimAfterNs : 0);
    berth_ring_finish_wait(&ring_);
    if (rc == -ETIMEDOUT && trim) {
        answers_.trim();
        copy_ = {};
    }
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
    answers_.cut_off();
    end_.cut_off = answers_.recycled();
    end_.outcome = end_.cut_off ? BERTH_CANCELLED : BERTH_DRAINED;
    advance_to(LeasePhase::Teardown);
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
    answers_.closed(end_.outcome, end_.cut_off);
    BERTH_KILL_POINT("worker.closed_sent");
    answers_.detach();
    copy_ = {};
}

} // namespace berth
