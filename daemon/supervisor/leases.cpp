// The pool's leases: how one is made, and the four ways in which it ends (host closes, host gone, recycled, worker
// dead).
#include "supervisor/pool.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>

#include "kill_point.h"
#include "supervisor/log.h"
#include "supervisor/rets.h"

namespace berth {
namespace {

constexpr uint64_t kClosingGraceMs = 500;
constexpr uint64_t kRecallGraceMs = 1000;
constexpr uint64_t kHostBrokeBoundMs = 1000;

Result<UniqueFd> duplicate(int fd) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy)
        return Error{kRetExhausted, fmt::format("the daemon cannot duplicate a descriptor: {}", std::strerror(errno))};
    return copy;
}

} // namespace

size_t Pool::leases_of(const Module &module) const {
    return static_cast<size_t>(std::count_if(leases_.begin(), leases_.end(), [&](const auto &entry) {
        return entry.second.worker->name() == module.manifest.name;
    }));
}

bool Pool::at_limit(const Module &module) const {
    return module.manifest.max_contexts != 0 &&
           (expects_returns_ || leases_of(module) >= module.manifest.max_contexts);
}

// False: that worker cannot have it; the open stays as it was.
bool Pool::lease(PendingOpen &open, Worker &worker) {
    Host &host = *open.host;
    const auto &module = *worker.module();
    auto host_pidfd = duplicate(host.pidfd());
    auto worker_pidfd = duplicate(worker.pidfd());
    char token[BERTH_TOKEN_SIZE];
    if (!host_pidfd || !worker_pidfd || ::getrandom(token, sizeof token, 0) != sizeof token) {
        log::error("context {} cannot be leased: out of descriptors or randomness", number(open.context));
        return false;
    }
    std::string_view secret(token, sizeof token);
    Message lease(BERTH_MSG_LEASE);
    lease.with(BERTH_KEY_CONTEXT, number(open.context))
        .with_bytes(BERTH_KEY_TOKEN, secret)
        .with(BERTH_KEY_DRAIN_MS, module.manifest.drain_timeout_ms)
        .with(BERTH_KEY_TEARDOWN_MS, module.manifest.teardown_timeout_ms)
        .with(BERTH_KEY_GATED, module.manifest.max_recycling != 0)
        .with(BERTH_KEY_MAX_EVENTS, module.manifest.max_events)
        .with(BERTH_KEY_MAX_EVENT_BYTES, module.manifest.max_event_bytes)
        .with(BERTH_KEY_STICKY, module.manifest.overflow == OverflowPolicy::Sticky)
        .with_fd(std::move(open.segment))
        .with_fd(std::move(open.wake));
    if (open.doorbell)
        lease.with_fd(std::move(open.doorbell));
    lease.with_fd(std::move(*host_pidfd));
    if (open.attempt)
        lease.with(BERTH_KEY_ATTEMPT, open.attempt);
    worker.lease(open.context, std::move(lease));
    BERTH_KILL_POINT("supervisor.lease_sent");
    host.send(std::move(Message(BERTH_MSG_OPENED)
                            .with(BERTH_KEY_SEQ, open.seq)
                            .with(BERTH_KEY_CONTEXT, number(open.context))
                            .with_bytes(BERTH_KEY_TOKEN, secret)
                            .with(BERTH_KEY_GENERATION, worker.uses())
                            .with(BERTH_KEY_PID, static_cast<uint64_t>(worker.pid()))
                            .with_bytes(BERTH_KEY_METHODS, worker.words().methods)
                            .with(BERTH_KEY_DRAIN_MS, module.manifest.drain_timeout_ms)
                            .with(BERTH_KEY_TEARDOWN_MS, module.manifest.teardown_timeout_ms)
                            .with(BERTH_KEY_START_GRACE_MS, module.manifest.start_grace_ms)
                            .with_fd(std::move(*worker_pidfd))));
    BERTH_KILL_POINT("supervisor.opened_sent");
    leases_.emplace(open.context, Lease{&worker, &host, host.pid(), now_ms()});
    host.contexts().opened(open.context);
    worker.module()->backoff.succeeded();
    plan_upkeep(kSparesAfterMs);
    return true;
}

void Pool::closing(Host &host, ContextId context, uint64_t timeout_ms) {
    auto found = leases_.find(context);
    if (found == leases_.end() || found->second.host != &host)
        return;
    found->second.since_ms = now_ms();
    found->second.worker->apply(WorkerEvent::Closing, timeout_ms + kClosingGraceMs);
}

void Pool::recall(Worker &worker, uint64_t extra_ms, const std::string &told) {
    if (auto found = leases_.find(worker.context()); found != leases_.end())
        found->second.since_ms = now_ms();
    worker.recall(worker.module()->recall_bound_ms() + extra_ms, told);
    BERTH_KILL_POINT("supervisor.recycle_sent");
}

void Pool::host_came(const Host &host) {
    users_[host.identity()]++;
    auto knows_it = [&](const auto &entry) { return entry.second->users.contains(host.identity()); };
    if (std::any_of(modules_.begin(), modules_.end(), knows_it))
        take_place(host.identity());
}

void Pool::host_gone(Host &host) {
    if (auto users = users_.find(host.identity()); users != users_.end() && --users->second == 0)
        forget_user(host.identity());
    opens_.remove_if([&](const PendingOpen &open) { return open.host == &host; });
    forget_claims(host);
    for (auto &[id, lease] : leases_) {
        if (lease.host != &host)
            continue;
        BERTH_KILL_POINT("supervisor.host_gone");
        lease.host = nullptr;
        recall(*lease.worker, kRecallGraceMs);
    }
    plan_upkeep(kSparesAfterMs);
}

void Pool::end_lease(Worker &worker) {
    auto found = leases_.find(worker.context());
    if (found == leases_.end())
        return;
    if (found->second.host)
        found->second.host->contexts().ended(found->first);
    forget_returned(found->first);
    leases_.erase(found);
    worker.unbind();
}

void Pool::on_worker_host_broke(Worker &worker, const std::string &text) {
    auto found = leases_.find(worker.context());
    worker.apply(WorkerEvent::HostBroke, kHostBrokeBoundMs);
    if (found != leases_.end() && found->second.host)
        found->second.host->disconnect(fmt::format("context {}: {}", number(found->first), text));
}

void Pool::report_death(Worker &worker, const ProcessEnd &end) {
    auto found = leases_.find(worker.context());
    if (found == leases_.end() || !found->second.host)
        return;
    Message died(BERTH_MSG_WORKER_DIED);
    died.with(BERTH_KEY_CONTEXT, number(found->first))
        .with(BERTH_KEY_PID, static_cast<uint64_t>(worker.pid()))
        .with(BERTH_KEY_USES, worker.uses())
        .with_text(BERTH_KEY_LOG, worker.log_tail());
    if (end.signal)
        died.with(BERTH_KEY_SIGNAL, static_cast<uint64_t>(end.signal));
    else if (!end.unknown)
        died.with(BERTH_KEY_STATUS, static_cast<uint64_t>(end.status));
    if (!worker.kill_reason().empty())
        died.with_text(BERTH_KEY_TEXT, "killed by the supervisor: " + worker.kill_reason());
    found->second.host->send(std::move(died));
}

} // namespace berth
