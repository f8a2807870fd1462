// What the workers of a module have said of it, for each user apart: whoever can trace a worker can have it say
// anything, and nobody else is to hear it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "supervisor/module_words.h"

namespace berth {

class WordsBook {
  public:
    static constexpr size_t kMostUsers = 64;   // whoever's workers have said nothing for longest is forgotten
    static constexpr size_t kMostError = 4096; // bytes

    struct Entry {
        std::shared_ptr<const ModuleWords> said; // by the last worker that got ready; never nullptr
        std::string error;                       // of the last that did not; empty after one that did
        uint64_t turn = 0;                       // the larger, the later
    };

    // A worker of that user is ready. What it said, for it to keep: those that say the same have it in common.
    std::shared_ptr<const ModuleWords> ready(uid_t uid, ModuleWords words);
    void failed(uid_t uid, std::string_view error);

    // An empty one when that user's workers have said nothing, or it is forgotten.
    Entry of(uid_t uid) const;
    const std::map<uid_t, Entry> &entries() const { return entries_; }

  private:
    Entry &entry(uid_t uid);

    std::map<uid_t, Entry> entries_;
    uint64_t turns_ = 0;
};

} // namespace berth
