// Who comes back after a restart of the supervisor, and which host belongs to which worker. Pure.
//
// Host and worker come in any order. They belong together when both have the lease's token, when the host is the very
// process whose pidfd the worker was given with its lease, and when both have the same identity. A worker is claimed
// once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "supervisor/identity.h"
#include "supervisor/ids.h"

namespace berth {

class RejoinBook {
  public:
    static constexpr uint64_t kPatienceMs = 2000; // how long a claim waits for its worker

    struct Returned { // a worker
        std::string token;
        uint64_t former_id = 0;        // of its context, with the earlier supervisor
        pid_t host_pid = 0;
        Identity identity = {};        // which its host must have, too
    };
    struct Claim { // a host's, for one context
        uint64_t host = 0;             // the owner's key for it
        uint64_t seq = 0;
        std::string token;
        uint64_t former_id = 0;
        pid_t pid = 0;
        Identity identity = {};
    };

    struct Paired {
        std::optional<Claim> claim;  // this worker's host
        std::vector<Claim> denied;   // claims that are known from here on to be wrong
    };
    Paired worker_came(ContextId id, Returned worker);

    enum class Answer { Yes, Wait, Denied };
    struct Verdict {
        Answer answer;
        ContextId context = ContextId::None; // with Yes
    };
    Verdict host_came(Claim claim, uint64_t now_ms);

    void context_over(ContextId id) { workers_.erase(id); }
    void host_gone(uint64_t host);
    size_t waiting(uint64_t host) const;
    // Takes out the claims that have waited long enough.
    std::vector<Claim> expired(uint64_t now_ms);
    // When the next claim will have; none waits.
    std::optional<uint64_t> due_ms() const;

  private:
    struct Entry {
        Returned worker;
        bool claimed = false;
    };
    struct Waiting {
        Claim claim;
        uint64_t until_ms;
    };
    static Answer judge(const Entry &entry, const Claim &claim);

    std::map<ContextId, Entry> workers_; // until their context is over
    std::vector<Waiting> claims_;        // first come, first judged
};

// Takes as long for any two of the same length.
bool same_token(std::string_view a, std::string_view b);

} // namespace berth
