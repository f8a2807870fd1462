#include "worker/own_calls.h"

#include <cstdio>
#include <cstring>
#include <new>
#include <unistd.h>
#include <utility>

#include "control.h"
#include "ring.h"
#include "status.h"

namespace berth {
namespace {

constexpr uint32_t kErr = 1, kTooLarge = 9, kRecycled = 11;
constexpr char kAnswerTooLarge[] = BERTH_TEXT_ANSWER_TOO_LARGE;
constexpr char kTooMany[] = "1024 calls of the module's own are in flight";
static_assert(OwnCalls::kMost == 1024);
constexpr char kNoMemory[] = "no memory for the request";
constexpr char kCutOff[] = BERTH_TEXT_CUT_OFF;
constexpr char kUnknownError[] = BERTH_TEXT_UNKNOWN_ERROR;
constexpr unsigned kNapUs = 200;

// The index of the module's method of this name, or -1 with the text that says so.
int find_method(const Module &module, const char *name, char *why, size_t why_size) {
    uint32_t id = berth_method_id(name, std::strlen(name));
    int index = module.method_index(id);
    if (index >= 0 && std::strcmp(module.abi().methods[index].name, name) == 0)
        return index;
    std::snprintf(why, why_size, "%s%u", BERTH_TEXT_NOT_IMPLEMENTED, id);
    return -1;
}

} // namespace

int OwnCalls::refuse(berth_answer done, void *user_data, const char *why) {
    if (done)
        done(user_data, kErr, why, std::strlen(why));
    return 1;
}

OwnCalls::CallPtr OwnCalls::copy(const void *data, size_t len) {
    void *memory = std::malloc(sizeof(Call) + len);
    if (!memory)
        return nullptr;
    CallPtr call(new (memory) Call{nullptr, 0, 0, len});
    if (len)
        std::memcpy(call->bytes(), data, len);
    return call;
}

int OwnCalls::call(const char *method, const void *data, size_t len, berth_answer done, void *user_data) {
    if (pthread_equal(pthread_self(), library_thread_))
        return refuse(done, user_data, BERTH_TEXT_REENTRANT);
    if (len > BERTH_MAX_PAYLOAD)
        return refuse(done, user_data, BERTH_TEXT_REQUEST_TOO_LARGE);
    CallPtr call = copy(data, len); // before the lock: there may be much of it
    char not_implemented[sizeof BERTH_TEXT_NOT_IMPLEMENTED + 10];
    const char *why;
    {
        std::lock_guard lock(lock_);
        int index;
        if (!header_ || __atomic_load_n(&header_->closing, __ATOMIC_ACQUIRE))
            why = BERTH_TEXT_NOT_ACCEPTING;
        else if ((index = find_method(*module_, method ? method : "", not_implemented, sizeof not_implemented)) < 0)
            why = not_implemented;
        else if (!call)
            why = kNoMemory;
        else if (!take_slot(*call, done, user_data))
            why = kTooMany;
        else {
            call->method = static_cast<uint32_t>(index);
            enqueue(std::move(call));
            return 0;
        }
    }
    return refuse(done, user_data, why);
}

// With lock_.
bool OwnCalls::take_slot(Call &call, berth_answer done, void *user_data) {
    uint32_t slot = free_;
    if (slot != kMost)
        free_ = slots_[slot].next_free;
    else if (slots_used_ < kMost)
        slot = slots_used_++;
    else
        return false;
    if (++generation_ == 0)
        generation_ = 1;
    call.id = uint64_t{generation_} << 32 | kOwn | slot;
    slots_[slot] = {call.id, done, user_data, kMost, false, false};
    outstanding_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

// With lock_, and while the lease is there. The library thread says that it sleeps and then looks at `queued_`; we
// write that and then look whether it sleeps.
void OwnCalls::enqueue(CallPtr call) {
    Call *added = call.release();
    (last_ ? last_->next : first_) = added;
    last_ = added;
    __atomic_fetch_add(&queued_, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ring_->waiting, __ATOMIC_SEQ_CST) != BERTH_AWAKE)
        berth_ring_kick(ring_);
}

// With lock_. Only what is begun has an id that the module knows.
OwnCalls::Slot *OwnCalls::find(uint64_t id) {
    uint32_t slot = slot_of(id);
    return slot < slots_used_ && slots_[slot].id == id && slots_[slot].begun ? &slots_[slot] : nullptr;
}

bool OwnCalls::waits(uint64_t id) {
    std::lock_guard lock(lock_);
    return find(id) != nullptr;
}

int OwnCalls::reply(uint64_t id, uint32_t ret, const void *data, size_t len) {
    Slot answered;
    {
        std::lock_guard lock(lock_);
        Slot *slot = find(id);
        if (!slot)
            return -1;
        answered = *slot;
        slot->id = 0;
        slot->next_free = std::exchange(free_, static_cast<uint32_t>(slot - slots_));
        if (cutting_ && ret == kErr && answered.cancelled) {
            ret = kRecycled;
            data = kCutOff;
            len = sizeof kCutOff - 1;
        }
    }
    if (ret == kRecycled)
        recycled_.fetch_add(1, std::memory_order_relaxed);
    answer(answered, ret, data, len);
    outstanding_.fetch_sub(1, std::memory_order_release); // not before: the context is not destroyed beside its `done`
    return 0;
}

// Without lock_: the module may call again from there.
void OwnCalls::answer(const Slot &slot, uint32_t ret, const void *data, size_t len) {
    if (!slot.done)
        return;
    if (len > BERTH_MAX_PAYLOAD)
        slot.done(slot.user_data, kTooLarge, kAnswerTooLarge, sizeof kAnswerTooLarge - 1);
    else if (ret != 0 && len == 0)
        slot.done(slot.user_data, static_cast<int>(ret), kUnknownError, sizeof kUnknownError - 1);
    else
        slot.done(slot.user_data, static_cast<int>(ret), data, len);
}

void OwnCalls::open(const Module &module, const Lease &lease) {
    std::lock_guard lock(lock_);
    module_ = &module;
    ring_ = lease.segment.control(BERTH_RING_REQUEST);
    cutting_ = false;
    recycled_ = 0;
    header_ = lease.segment.header();
}

void OwnCalls::close() {
    std::lock_guard lock(lock_);
    header_ = nullptr;
    ring_ = nullptr;
}

OwnCalls::CallPtr OwnCalls::take() {
    std::lock_guard lock(lock_);
    CallPtr call(first_);
    if (!call)
        return nullptr;
    first_ = call->next;
    if (!first_)
        last_ = nullptr;
    __atomic_fetch_sub(&queued_, 1, __ATOMIC_RELAXED);
    slots_[slot_of(call->id)].begun = true;
    return call;
}

void OwnCalls::begin_cutting() {
    std::lock_guard lock(lock_);
    cutting_ = true;
}

uint32_t OwnCalls::mark_cancelled(uint64_t (&ids)[kMost]) {
    std::lock_guard lock(lock_);
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < slots_used_; slot++) {
        if (slots_[slot].id == 0 || !slots_[slot].begun)
            continue;
        slots_[slot].cancelled = true;
        ids[count++] = slots_[slot].id;
    }
    return count;
}

void OwnCalls::cut_off() {
    while (CallPtr call = take())
        reply(call->id, kRecycled, kCutOff, sizeof kCutOff - 1);
    uint64_t ids[kMost];
    for (uint32_t i = 0, count = outstanding() ? mark_cancelled(ids) : 0; i < count; i++)
        reply(ids[i], kRecycled, kCutOff, sizeof kCutOff - 1);
    while (outstanding()) // bounded by the close itself
        usleep(kNapUs);
}

} // namespace berth
