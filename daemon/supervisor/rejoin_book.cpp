#include "supervisor/rejoin_book.h"

#include <algorithm>

namespace berth {

bool same_token(std::string_view a, std::string_view b) {
    if (a.size() != b.size() || a.empty())
        return false;
    unsigned differs = 0;
    for (size_t i = 0; i < a.size(); i++)
        differs |= static_cast<unsigned char>(a[i] ^ b[i]);
    return differs == 0;
}

// Wait: this claim says nothing of this worker. One that names its own context without its token is denied at once; a
// context's number alone says nothing, as anybody's worker can come with another's.
RejoinBook::Answer RejoinBook::judge(const Entry &entry, const Claim &claim) {
    const Returned &worker = entry.worker;
    bool allowed = worker.host_pid == claim.pid && worker.identity == claim.identity;
    if (!same_token(worker.token, claim.token))
        return allowed && worker.former_id == claim.former_id && !entry.claimed ? Answer::Denied : Answer::Wait;
    return allowed && !entry.claimed ? Answer::Yes : Answer::Denied;
}

RejoinBook::Paired RejoinBook::worker_came(ContextId id, Returned worker) {
    Paired paired;
    Entry &entry = workers_[id] = {std::move(worker), false};
    for (auto waiting = claims_.begin(); waiting != claims_.end();) {
        Answer answer = judge(entry, waiting->claim);
        if (answer == Answer::Wait) {
            ++waiting;
            continue;
        }
        entry.claimed = entry.claimed || answer == Answer::Yes;
        if (answer == Answer::Yes)
            paired.claim = std::move(waiting->claim);
        else
            paired.denied.push_back(std::move(waiting->claim));
        waiting = claims_.erase(waiting);
    }
    return paired;
}

RejoinBook::Verdict RejoinBook::host_came(Claim claim, uint64_t now_ms) {
    bool denied = false;
    for (auto &[id, entry] : workers_) {
        Answer answer = judge(entry, claim);
        if (answer == Answer::Yes) {
            entry.claimed = true;
            return {answer, id};
        }
        denied = denied || answer == Answer::Denied;
    }
    for (const auto &waiting : claims_)
        denied = denied || same_token(waiting.claim.token, claim.token);
    if (denied)
        return {Answer::Denied};
    claims_.push_back({std::move(claim), now_ms + kPatienceMs});
    return {Answer::Wait};
}

void RejoinBook::host_gone(uint64_t host) {
    std::erase_if(claims_, [&](const Waiting &waiting) { return waiting.claim.host == host; });
}

size_t RejoinBook::waiting(uint64_t host) const {
    return static_cast<size_t>(
        std::count_if(claims_.begin(), claims_.end(), [&](const auto &waiting) { return waiting.claim.host == host; }));
}

std::vector<RejoinBook::Claim> RejoinBook::expired(uint64_t now_ms) {
    std::vector<Claim> out;
    while (!claims_.empty() && claims_.front().until_ms <= now_ms) {
        out.push_back(std::move(claims_.front().claim));
        claims_.erase(claims_.begin());
    }
    return out;
}

std::optional<uint64_t> RejoinBook::due_ms() const {
    if (claims_.empty())
        return std::nullopt;
    return claims_.front().until_ms;
}

} // namespace berth
