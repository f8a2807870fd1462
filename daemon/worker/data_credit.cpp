#include "worker/data_credit.h"

#include <algorithm>
#include <new>

#include "ring_abi.h"

namespace berth {

// As the kernel gives them, zero and not there before they are used: there may be 65,536, and few requests send DATA.
void DataCredit::attach(uint32_t slots) {
    if (slots > made_) {
        void *memory = std::calloc(slots, sizeof(Word));
        if (!memory)
            throw std::bad_alloc();
        words_.reset(static_cast<Word *>(memory));
        made_ = slots;
        used_ = 0;
    }
    for (uint32_t slot = 0; slot < used_; slot++)
        words_[slot].store(0, std::memory_order_relaxed);
    slots_ = slots;
    used_ = 0;
}

bool DataCredit::fits(uint64_t id, uint32_t cost) const {
    uint32_t sent = on_the_way(word(id).load(), id);
    return sent == 0 || uint64_t{sent} + cost <= BERTH_DATA_CREDIT;
}

void DataCredit::take(uint64_t id, uint32_t cost) {
    uint64_t was = word(id).load();
    used_ = std::max(used_, static_cast<uint32_t>(id) + 1);
    while (!word(id).compare_exchange_weak(was, (id >> 32 << 32) + on_the_way(was, id) + cost)) {
    }
}

bool DataCredit::give(uint64_t id, uint32_t cost) {
    if (static_cast<uint32_t>(id) >= slots_ || cost == 0)
        return false;
    uint64_t was = word(id).load();
    for (;;) {
        uint32_t sent = on_the_way(was, id);
        if (sent == 0)
            return false;
        if (word(id).compare_exchange_weak(was, was - std::min(cost, sent)))
            return true;
    }
}

} // namespace berth
