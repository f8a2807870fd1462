// What a request sends on its way. It waits for the host's credit, as an answer does not, and so waits without a lock:
// others are answered meanwhile.
#include "worker/answers.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "futex.h"

namespace berth {
namespace {
constexpr uint32_t kFirstNapUs = 20, kLongestNapUs = 1000;
} // namespace

// With reply_lock_. Is there somebody whom its DATA could reach?
bool Answers::wants_data(uint64_t id, size_t len) const {
    auto slot = static_cast<uint32_t>(id);
    return header_ && id != 0 && slot < slots_ && in_flight_[slot].load() == id && cancelled_[slot].load() != id &&
           !given_up_.load() && len <= max_payload_;
}

// With reply_lock_.
Answers::Data Answers::try_data(uint64_t id, const void *bytes, size_t len) {
    uint8_t *payload;
    auto size = static_cast<uint32_t>(len);
    if (!wants_data(id, len))
        return Data::Unwanted;
    if (!knows_data_)
        return Data::HostTooOld;
    if (!credit_.fits(id, berth_data_cost(size)))
        return Data::NoCredit;
    if (int rc = berth_ring_reserve(&reply_, size, &payload); rc != 0) {
        if (rc == -EBADMSG)
            host_lies_ = true;
        return rc == -EBADMSG ? Data::Unwanted : Data::NoRoom;
    }
    credit_.take(id, berth_data_cost(size));
    if (len)
        std::memcpy(payload, bytes, len);
    note_burst(reply_);
    berth_frame_header header{size, BERTH_FRAME_DATA, 0, id, 0, 0, 0};
    wake(reply_, berth_ring_commit(&reply_, &header));
    return Data::Sent;
}

// It says that it waits, then looks, then sleeps on the word: who changes something for it changes that first, then
// looks whether anybody waits. The host's reading alone is not told, so room is looked for after ever longer naps.
Answers::Data Answers::wait_with_data(std::unique_lock<std::mutex> &lock, uint64_t id, const void *bytes, size_t len) {
    uint32_t nap_us = kFirstNapUs;
    Data done;
    data_writers_.fetch_add(1);
    for (;;) {
        uint32_t seen = __atomic_load_n(&data_word_, __ATOMIC_SEQ_CST);
        done = try_data(id, bytes, len);
        if (done != Data::NoCredit && done != Data::NoRoom)
            break;
        lock.unlock();
        berth_futex_wait(&data_word_, seen, done == Data::NoRoom ? berth_now_ns() + uint64_t{nap_us} * 1000 : 0);
        lock.lock();
        nap_us = std::min(2 * nap_us, kLongestNapUs);
    }
    data_writers_.fetch_sub(1);
    return done;
}

void Answers::call_data_writers() {
    if (data_writers_.load() == 0)
        return;
    __atomic_fetch_add(&data_word_, 1, __ATOMIC_SEQ_CST);
    berth_futex_wake(&data_word_, INT_MAX);
}

int Answers::data(uint64_t id, const void *bytes, size_t len) {
    std::unique_lock lock(reply_lock_);
    Data done = try_data(id, bytes, len);
    if (done == Data::NoCredit || done == Data::NoRoom)
        done = wait_with_data(lock, id, bytes, len);
    return done == Data::Sent ? 0 : done == Data::HostTooOld ? 1 : -1;
}

void Answers::credit(uint64_t id, uint32_t bytes) {
    if (credit_.give(id, bytes))
        call_data_writers();
}

void Answers::give_up() {
    given_up_ = true;
    call_data_writers();
}

} // namespace berth
