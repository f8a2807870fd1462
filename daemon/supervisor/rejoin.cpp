// The pool's contexts that an earlier supervisor opened: their workers and hosts come back, each by itself, and are
// brought together. Until then a worker serves on as before, and is recalled when its host's pidfd says so.
#include "supervisor/pool.h"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <fstream>

#include "kill_point.h"
#include "supervisor/log.h"
#include "supervisor/rets.h"

namespace berth {
namespace {

constexpr uint64_t kMaxBoundMs = 3'600'000;
constexpr uint64_t kRecallGraceMs = 1000;
constexpr uint64_t kReturnMs = 2000; // workers try once a second at least
constexpr size_t kMaxModuleName = 255;

// The process that a pidfd is of; none when it is no pidfd, or that process is gone.
std::optional<pid_t> pid_behind(int pidfd) {
    std::ifstream info(fmt::format("/proc/self/fdinfo/{}", pidfd));
    long pid = 0;
    for (std::string key; info >> key; info.ignore(4096, '\n'))
        if (key == "Pid:" && info >> pid)
            return pid > 0 ? std::optional(static_cast<pid_t>(pid)) : std::nullopt;
    return std::nullopt;
}

// It is used for this one context and never again: what its manifest says by now was not said to it.
std::shared_ptr<Module> module_as_leased(const Message &message) {
    auto module = std::make_shared<Module>();
    auto bound = [&](berth_control_key key) {
        return static_cast<uint32_t>(std::min(message.number(key), kMaxBoundMs));
    };
    module->current = false;
    module->manifest.name = message.text(BERTH_KEY_MODULE);
    module->manifest.drain_timeout_ms = bound(BERTH_KEY_DRAIN_MS);
    module->manifest.teardown_timeout_ms = bound(BERTH_KEY_TEARDOWN_MS);
    return module;
}

} // namespace

// Empty: it may come back.
std::string Pool::why_not_back(const Credentials &peer, int pidfd, const Message &message) const {
    auto is_known = [&](const auto &entry) { return entry.first->pid() == peer.pid; };
    if (stopping_)
        return "berthd is shutting down";
    if (message.number(BERTH_KEY_PID) != static_cast<uint64_t>(peer.pid))
        return fmt::format("it calls itself {}", message.number(BERTH_KEY_PID));
    if (peer.identity.uid != own_identity().uid && !may_change_identity())
        return fmt::format("its uid is {}, workers of this daemon have {}", peer.identity.uid, own_identity().uid);
    if (!acts_as(pidfd, peer.pid, peer.identity.uid)) // it will be killed, should it misbehave
        return "its process is gone, or is another by now";
    if (std::any_of(workers_.begin(), workers_.end(), is_known))
        return "it is known already";
    auto name = message.text(BERTH_KEY_MODULE);
    if (name.empty() || name.size() > kMaxModuleName || printable(name) != name)
        return "its module's name cannot be";
    return {};
}

void Pool::worker_came_back(const Credentials &peer, UniqueFd socket, UniqueFd pidfd, Message message) {
    BERTH_KILL_POINT("supervisor.worker_came_back");
    auto why = why_not_back(peer, pidfd.get(), message);
    UniqueFd host_pidfd = message.take_fd(0);
    auto host_pid = pid_behind(host_pidfd.get());
    if (why.empty() && !host_pid)
        why = "it brings no pidfd of a living host";
    if (!why.empty())
        return log::warn("pid {} (uid {}) cannot come back as a worker: {}", peer.pid, peer.identity.uid, why);
    ContextId id{next_context_++};
    auto module = module_as_leased(message);
    Worker::Former former{peer.pid, std::move(pidfd), id, message.number(BERTH_KEY_GENERATION),
                          message.number(BERTH_KEY_PHASE) != 0 ? module->recall_bound_ms() + kRecallGraceMs : 0,
                          words_of(message)};
    auto worker = Worker::adopt_former(loop_, std::move(socket), module, peer.identity, std::move(former), *this);
    if (!worker)
        return log::error("worker {} cannot be taken in: {}", peer.pid, worker.error().text);
    BERTH_KILL_POINT("supervisor.adopted_sent");
    log::info("worker {} ({}) is back with context {}, formerly {}", peer.pid, module->manifest.name, number(id),
              message.number(BERTH_KEY_CONTEXT));
    Worker *key = worker->get();
    workers_.emplace(key, std::move(*worker));
    leases_.emplace(id, Lease{key, nullptr, *host_pid, now_ms()});
    unclaimed_[id] = {std::move(host_pidfd), nullptr};
    unclaimed_[id].death = std::make_unique<Poller>(loop_, unclaimed_[id].pidfd.get(), [this, id](int) {
        auto found = leases_.find(id);
        unclaimed_.erase(id);
        if (found != leases_.end())
            recall(*found->second.worker, kRecallGraceMs);
    });
    RejoinBook::Returned returned{std::string(message.text(BERTH_KEY_TOKEN)), message.number(BERTH_KEY_CONTEXT),
                                  *host_pid, peer.identity};
    auto paired = rejoin_book_.worker_came(id, std::move(returned));
    for (const auto &claim : paired.denied)
        deny_claim(claim);
    if (paired.claim)
        give_back(*claims_from_.at(paired.claim->host), paired.claim->seq, id);
}

void Pool::expect_returns() {
    expects_returns_ = true;
    returns_timer_.start(kReturnMs);
}

void Pool::returns_over() {
    expects_returns_ = false;
    for (const auto &[name, module] : modules_)
        serve(name);
}

void Pool::rejoin(Host &host, const Message &message) {
    BERTH_KILL_POINT("supervisor.rejoin_received");
    uint64_t seq = message.number(BERTH_KEY_SEQ);
    RejoinBook::Claim claim{host_key(host), seq, std::string(message.text(BERTH_KEY_TOKEN)),
                            message.number(BERTH_KEY_CONTEXT), host.pid(), host.identity()};
    if (stopping_)
        return host.refuse(seq, kRetUnavailable, "berthd is shutting down");
    if (rejoin_book_.waiting(claim.host) >= kMaxPendingPerHost)
        return host.refuse(seq, kRetBusy, fmt::format("{} contexts of this host wait already", kMaxPendingPerHost));
    claims_from_[claim.host] = &host;
    auto verdict = rejoin_book_.host_came(claim, now_ms());
    if (verdict.answer == RejoinBook::Answer::Yes)
        give_back(host, seq, verdict.context);
    else if (verdict.answer == RejoinBook::Answer::Denied)
        deny_claim(claim);
    else
        plan_claims();
}

void Pool::give_back(Host &host, uint64_t seq, ContextId id) {
    auto found = leases_.find(id);
    if (found == leases_.end())
        return host.refuse(seq, kRetUnavailable, "the context is over");
    log::info("host {} has context {} again", host.pid(), number(id));
    unclaimed_.erase(id);
    found->second.host = &host;
    host.contexts().opened(id);
    host.send(std::move(
        Message(BERTH_MSG_REJOINED).with(BERTH_KEY_SEQ, seq).with(BERTH_KEY_CONTEXT, number(id))));
    BERTH_KILL_POINT("supervisor.rejoined_sent");
}

void Pool::deny_claim(const RejoinBook::Claim &claim) {
    log::warn("host {} (uid {}) claims context {} and does not have it", claim.pid, claim.identity.uid,
              claim.former_id);
    claims_from_.at(claim.host)->refuse(claim.seq, kRetDenied, "the token is not that of a context of yours");
}

void Pool::plan_claims() {
    if (auto due = rejoin_book_.due_ms())
        claims_timer_.start(*due - std::min(*due, now_ms()));
}

void Pool::claims_due() {
    for (const auto &claim : rejoin_book_.expired(now_ms()))
        claims_from_.at(claim.host)->refuse(claim.seq, kRetUnavailable,
                                            fmt::format("no worker has come back with it in {} ms",
                                                        RejoinBook::kPatienceMs));
    plan_claims();
}

void Pool::forget_claims(Host &host) {
    rejoin_book_.host_gone(host_key(host));
    claims_from_.erase(host_key(host));
}

void Pool::forget_returned(ContextId id) {
    rejoin_book_.context_over(id);
    unclaimed_.erase(id);
}

} // namespace berth
