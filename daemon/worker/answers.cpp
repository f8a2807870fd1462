#include "kill_point.h"
#define BERTH_RING_TAIL_STORED BERTH_KILL_POINT("worker.tail_stored")

#include "worker/answers.h"

#include <algorithm>
#include <cstring>
#include <linux/membarrier.h>
#include <new>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "futex.h"
#include "spin.h"
#include "status.h"

namespace berth {
namespace {

constexpr uint32_t kErr = 1, kTooLarge = 9, kRecycled = 11;
constexpr std::string_view kTooLargeText = BERTH_TEXT_ANSWER_TOO_LARGE;
constexpr std::string_view kCutOffText = BERTH_TEXT_CUT_OFF;
constexpr size_t kMaxEventName = 255;
constexpr uint32_t kMinorWithProgress = 1; // of major 1
constexpr uint32_t kMajorWithData = 2;
constexpr size_t kMaxWhy = 255;

// As much as a CLOSED frame takes, cut between two characters.
std::string_view cut_to_fit(std::string_view text) {
    size_t len = std::min(text.size(), kMaxWhy);
    while (len < text.size() && len > 0 && (static_cast<uint8_t>(text[len]) & 0xc0) == 0x80)
        len--;
    return text.substr(0, len);
}

void trim_ring(berth_ring_producer &ring) {
    if (ring.high_water <= 2 * BERTH_HOT_WINDOW || berth_ring_refresh_head(&ring) != 0 || ring.head_seen != ring.tail)
        return;
    uint64_t end = (ring.high_water + 4095) & ~uint64_t{4095};
    madvise(ring.bytes + BERTH_HOT_WINDOW, end - BERTH_HOT_WINDOW, MADV_REMOVE);
    ring.high_water = BERTH_HOT_WINDOW;
}

// As the kernel gives them, zero and not there before they are used: there may be 65,536.
Answers::Slots make_slots(size_t count) {
    void *memory = std::calloc(count, sizeof(std::atomic<uint64_t>));
    if (!memory)
        throw std::bad_alloc();
    return Answers::Slots(static_cast<std::atomic<uint64_t> *>(memory));
}

// mark_cancelled's fence has to be announced. Of a process with several threads that takes the kernel a grace period, up
// to 20 ms; of one with a single thread, or a second time, it takes nothing.
void announce_fence() { syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0); }

} // namespace

Answers::Answers() { announce_fence(); }

void Answers::attach(const Lease &lease) {
    const Segment &segment = lease.segment;
    std::scoped_lock locks(reply_lock_, event_lock_);
    berth_ring_attach_producer(&reply_, segment.control(BERTH_RING_REPLY), segment.bytes(BERTH_RING_REPLY),
                               segment.capacity(BERTH_RING_REPLY));
    berth_ring_attach_producer(&event_, segment.control(BERTH_RING_EVENT), segment.bytes(BERTH_RING_EVENT),
                               segment.capacity(BERTH_RING_EVENT));
    slots_ = segment.max_in_flight();
    if (slots_ > slots_made_) {
        announce_fence();
        in_flight_ = make_slots(slots_);
        cancelled_ = make_slots(slots_);
        slots_made_ = slots_;
    }
    for (uint32_t slot = 0; slot < begun_slots_; slot++)
        in_flight_[slot].store(0, std::memory_order_relaxed);
    for (uint32_t slot = 0; slot < cancelled_slots_; slot++)
        cancelled_[slot].store(0, std::memory_order_relaxed);
    begun_slots_ = cancelled_slots_ = 0;
    begun_ = answered_ = 0;
    recycled_ = 0;
    cutting_ = false;
    given_up_ = false;
    host_lies_ = false;
    wants_trim_ = false;
    events_sent_ = events_taken_ = 0;
    max_events_ = lease.max_events;
    max_event_bytes_ = lease.max_event_bytes;
    sticky_ = lease.sticky;
    events_stuck_ = false;
    max_payload_ = segment.max_payload();
    knows_data_ = segment.major() >= kMajorWithData;
    knows_progress_ = knows_data_ || segment.minor() >= kMinorWithProgress;
    credit_.attach(knows_data_ ? slots_ : 0);
    wakeups_ = &lease.wakeups;
    header_ = segment.header();
}

void Answers::detach() {
    std::scoped_lock locks(reply_lock_, event_lock_);
    header_ = nullptr;
    reply_.high_water = event_.high_water = 0;
    call_data_writers();
}

bool Answers::begin(uint64_t id) {
    auto slot = static_cast<uint32_t>(id);
    if (slot >= slots_ || id >> 32 == 0 || in_flight_[slot].load(std::memory_order_relaxed) != 0)
        return false;
    if (slot >= begun_slots_.load(std::memory_order_relaxed))
        begun_slots_.store(slot + 1, std::memory_order_release);
    in_flight_[slot].store(id, std::memory_order_release);
    begun_.store(begun_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    return true;
}

bool Answers::mark_cancelled(uint64_t id) {
    auto slot = static_cast<uint32_t>(id);
    if (slot >= slots_)
        return false;
    cancelled_slots_ = std::max(cancelled_slots_, slot + 1);
    cancelled_[slot].store(id);
    // begin() stores without a fence, to keep the hot path cheap; the fence for both threads is made here.
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    call_data_writers();
    return in_flight_[slot].load() == id;
}

bool Answers::is_cancelled(uint64_t id) const {
    return cancelled_[static_cast<uint32_t>(id)].load(std::memory_order_acquire) == id;
}

// A full ring is rare: a host that does not read. The producer looks again after ever longer naps rather than have
// the consumer tell it, which would cost every reply a fence.
int Answers::reserve(berth_ring_producer &ring, uint32_t size, uint8_t **payload) {
    uint32_t nap_us = 20;
    int rc;
    while ((rc = berth_ring_reserve(&ring, size, payload)) == -ENOSPC && !given_up_.load(std::memory_order_relaxed)) {
        usleep(nap_us);
        nap_us = nap_us < 1000 ? nap_us * 2 : 1000;
    }
    return rc;
}

void Answers::wake(berth_ring_producer &ring, uint32_t due) {
    if (due == BERTH_ASLEEP_FUTEX)
        berth_ring_wake_futex(ring.control);
    else if (due == BERTH_ASLEEP_FD)
        wakeups_->wake_host();
}

void Answers::note_burst(const berth_ring_producer &ring) {
    if (ring.high_water > 2 * BERTH_HOT_WINDOW)
        wants_trim_.store(true, std::memory_order_relaxed);
}

// With reply_lock_.
void Answers::write(uint64_t id, uint16_t kind, uint32_t code, const void *data, size_t len) {
    uint8_t *payload;
    if (int rc = reserve(reply_, static_cast<uint32_t>(len), &payload); rc != 0) {
        if (rc == -EBADMSG)
            host_lies_ = true;
        return;
    }
    if (len)
        std::memcpy(payload, data, len);
    BERTH_KILL_POINT("worker.answer_reserved");
    note_burst(reply_);
    berth_frame_header header{static_cast<uint32_t>(len), kind, 0, id, code, 0, 0};
    uint32_t due = berth_ring_commit(&reply_, &header);
    BERTH_KILL_POINT("worker.answer_committed");
    wake(reply_, due);
    BERTH_KILL_POINT("worker.answer_sent");
}

int Answers::reply(uint64_t id, uint32_t ret, const void *data, size_t len) {
    auto slot = static_cast<uint32_t>(id);
    std::lock_guard lock(reply_lock_);
    if (!header_ || id == 0 || slot >= slots_ || in_flight_[slot].load(std::memory_order_acquire) != id)
        return -1;
    // Emptied before the frame is out: the host may use the slot again as soon as it sees the answer.
    in_flight_[slot].store(0, std::memory_order_release);
    call_data_writers();
    BERTH_KILL_POINT("worker.answer_begun");
    if (cutting_.load(std::memory_order_relaxed) && ret == kErr && is_cancelled(id)) {
        ret = kRecycled;
        data = kCutOffText.data();
        len = kCutOffText.size();
    }
    recycled_.store(recycled_.load(std::memory_order_relaxed) + (ret == kRecycled), std::memory_order_relaxed);
    if (len > max_payload_)
        write(id, BERTH_FRAME_REPLY, kTooLarge, kTooLargeText.data(), kTooLargeText.size());
    else
        write(id, BERTH_FRAME_REPLY, ret, data, len);
    answered_.store(answered_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    return 0;
}

int Answers::progress(uint64_t id, const void *text, size_t len) {
    uint8_t *payload;
    auto slot = static_cast<uint32_t>(id);
    std::lock_guard lock(reply_lock_);
    if (!header_ || id == 0 || slot >= slots_ || in_flight_[slot].load(std::memory_order_acquire) != id ||
        len > kMaxProgress)
        return -1;
    if (!knows_progress_)
        return 1;
    if (int rc = berth_ring_reserve(&reply_, static_cast<uint32_t>(len), &payload); rc != 0) {
        if (rc == -EBADMSG)
            host_lies_ = true;
        return 1;
    }
    if (len)
        std::memcpy(payload, text, len);
    berth_frame_header header{static_cast<uint32_t>(len), BERTH_FRAME_PROGRESS, 0, id, 0, 0, 0};
    wake(reply_, berth_ring_commit(&reply_, &header));
    return 0;
}

// With event_lock_. The host's word for what it has read is only asked for at a bound.
bool Answers::events_full(uint64_t size) {
    if (events_sent_ - events_taken_ >= max_events_) {
        uint64_t taken = __atomic_load_n(&header_->events_taken, __ATOMIC_RELAXED);
        if (taken > events_sent_)
            host_lies_ = true;
        else
            events_taken_ = taken;
        if (events_sent_ - events_taken_ >= max_events_)
            return true;
    }
    if (event_.tail - event_.head_seen + size <= max_event_bytes_)
        return false;
    if (berth_ring_refresh_head(&event_) != 0)
        host_lies_ = true;
    uint64_t queued = event_.tail - event_.head_seen;
    return queued != 0 && queued + size > max_event_bytes_;
}

void Answers::drop_event() {
    __atomic_fetch_add(&header_->events_dropped, 1, __ATOMIC_RELAXED);
    if (!sticky_)
        return;
    events_stuck_ = true;
    __atomic_store_n(&header_->events_stuck, 1, __ATOMIC_RELAXED);
}

int Answers::emit(const char *name, const void *data, size_t len) {
    uint8_t *payload;
    size_t name_len = name ? std::strlen(name) : 0;
    if (name_len == 0 || name_len > kMaxEventName)
        return -1;
    std::lock_guard lock(event_lock_);
    if (!header_ || !__atomic_load_n(&header_->events_wanted, __ATOMIC_ACQUIRE))
        return 1;
    if (len > max_payload_ - name_len)
        return -1;
    auto size = static_cast<uint32_t>(name_len + len);
    int rc = events_stuck_ || events_full(size) ? -ENOSPC : berth_ring_reserve(&event_, size, &payload);
    if (rc != 0) {
        if (rc == -EBADMSG)
            host_lies_ = true;
        drop_event();
        return 1;
    }
    events_sent_++;
    note_burst(event_);
    std::memcpy(payload, name, name_len);
    if (len)
        std::memcpy(payload + name_len, data, len);
    BERTH_KILL_POINT("worker.event_reserved");
    berth_frame_header header{size, BERTH_FRAME_EVENT, 0, 0, static_cast<uint32_t>(name_len), 0, 0};
    uint32_t due = berth_ring_commit(&event_, &header);
    BERTH_KILL_POINT("worker.event_committed");
    wake(event_, due);
    BERTH_KILL_POINT("worker.event_sent");
    return 0;
}

void Answers::closed(uint32_t outcome, uint32_t cut_off, std::string_view why) {
    std::lock_guard lock(reply_lock_);
    std::string_view text = knows_data_ ? cut_to_fit(why) : std::string_view();
    write(cut_off, BERTH_FRAME_CLOSED, outcome, text.data(), text.size());
}

void Answers::cut_off() {
    for_each_outstanding([&](uint64_t id) { reply(id, kRecycled, kCutOffText.data(), kCutOffText.size()); });
}

void Answers::trim() {
    std::scoped_lock locks(reply_lock_, event_lock_);
    if (!header_)
        return;
    wants_trim_ = false;
    trim_ring(reply_);
    trim_ring(event_);
    note_burst(reply_); // not all read yet: again after the next pause
    note_burst(event_);
}

} // namespace berth
