// How much of each request's DATA is on its way: sent, and not yet read by the host.
//
// A frame may go when it fits into BERTH_DATA_CREDIT, and always when nothing else of its request is on its way, so that
// any frame can go at some time. One thread at a time sends; another may give back what was read.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace berth {

class DataCredit {
  public:
    // Forgets all. For ids whose low half, the slot, is below `slots`.
    void attach(uint32_t slots);

    bool fits(uint64_t id, uint32_t cost) const;
    void take(uint64_t id, uint32_t cost); // after fits
    // The host's word, which is believed no further than there was. False: it changes nothing.
    bool give(uint64_t id, uint32_t cost);

  private:
    struct Free {
        void operator()(void *memory) const { std::free(memory); }
    };
    // The request's generation, as in its id, above what is on its way: so a word of an earlier request's says nothing
    // of the next one in its slot.
    using Word = std::atomic<uint64_t>;
    static uint32_t on_the_way(uint64_t word, uint64_t id) {
        return word >> 32 == id >> 32 ? static_cast<uint32_t>(word) : 0;
    }
    Word &word(uint64_t id) const { return words_[static_cast<uint32_t>(id)]; }

    std::unique_ptr<Word[], Free> words_;
    uint32_t slots_ = 0, made_ = 0;
    uint32_t used_ = 0; // so many of the words, the first, may be other than 0
};

} // namespace berth
