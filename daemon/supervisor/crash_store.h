// The reports of crashes that the supervisor keeps: in memory, bounded, and as files where it has a folder for them.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/identity.h"

namespace berth {

class CrashStore {
  public:
    static constexpr size_t kMost = 64;          // of them, the oldest of who has most goes
    static constexpr size_t kMostPerModule = 16; // of one module and user, the oldest goes
    static constexpr size_t kMostReplies = 32;   // kept made, for viewers who differ

    // `folder`: where each report is written too, as JSON; empty: nowhere.
    explicit CrashStore(std::string folder) : folder_(std::move(folder)) {}

    struct Entry {
        Identity identity; // the worker's
        std::string module;
        std::vector<uint8_t> report; // one CBOR map
    };
    void add(Entry entry);
    // Oldest first.
    const std::list<Entry> &entries() const { return entries_; }

    // A sealed memfd with a CBOR array of those that `viewer` may see (may_see), oldest first. The same memory each
    // time, until a report comes or goes: who asks without end and never reads costs no more than once.
    Result<UniqueFd> reply_for(const Identity &viewer);

  private:
    void drop_oldest(uid_t uid, const std::string *module);
    uid_t has_most() const;

    std::string folder_;
    std::list<Entry> entries_;
    std::map<Identity, UniqueFd> replies_; // at most kMostReplies
};

// One CBOR array of the maps.
std::vector<uint8_t> cbor_array(const std::vector<const std::vector<uint8_t> *> &items);

} // namespace berth
