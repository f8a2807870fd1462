// The pool's crashes: which deaths are ones, what is kept of them, and what they cost their module.
#include "supervisor/pool.h"

#include <ctime>
#include <fmt/format.h>

#include "supervisor/crash_report.h"
#include "supervisor/log.h"
#include "supervisor/rets.h"

namespace berth {
namespace {

// An end that nobody asked for, or one by force. What exits while Retiring was told to, or had said why it would; what
// never became a worker has run nothing of the module.
bool is_crash(const Worker &worker, WorkerState was, const ProcessEnd &end) {
    if (!end.not_started.empty())
        return false;
    return end.signal != 0 || !worker.kill_reason().empty() || was != WorkerState::Retiring;
}

// A worker that ends itself past the bound of a close is slow, and was dealt with.
bool is_the_modules_doing(const Worker &worker, WorkerState was, const ProcessEnd &end) {
    bool closing = was == WorkerState::Draining || was == WorkerState::Recycling;
    bool wedged = closing && end.signal == 0 && end.status == BERTH_EXIT_WEDGED;
    bool working = was == WorkerState::Spawning || was == WorkerState::Leased || closing;
    return working && worker.kill_reason().empty() && !wedged;
}

uint64_t wall_clock_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

WorkerDeath death_of(const Worker &worker, WorkerState was, const ProcessEnd &end) {
    WorkerDeath death;
    death.module = worker.name();
    death.version = worker.words().version;
    death.method_names = worker.words().method_names;
    death.pid = worker.pid();
    death.uid = worker.uid();
    death.uses = worker.uses();
    death.context = number(worker.context());
    death.state = name_of(was);
    death.uptime_ms = now_ms() - worker.started_ms();
    death.time_ms = wall_clock_ms();
    death.signal = end.signal;
    death.status = end.status;
    death.killed = worker.kill_reason();
    death.log = worker.log_tail();
    return death;
}

std::string for_people(uint64_t ms) {
    return ms < 1000 ? fmt::format("{} ms", ms) : ms < 120'000 ? fmt::format("{} s", ms / 1000)
                                                               : fmt::format("{} min", ms / 60'000);
}

Quarantine::Policy policy_of(const Manifest &manifest) {
    return {manifest.quarantine_after, manifest.quarantine_window_ms, manifest.quarantine_ms};
}

} // namespace

void Pool::note_crash(Worker &worker, WorkerState was, const ProcessEnd &end) {
    if (stopping_ || !is_crash(worker, was, end))
        return;
    auto death = death_of(worker, was, end);
    auto lease = leases_.find(worker.context());
    bool host_is_gone = lease != leases_.end() && !lease->second.host;
    if (lease != leases_.end())
        death.host_pid = lease->second.host_pid;
    crashes_.add({worker.identity(), worker.name(), crash_report(death, parse_crash_area(worker.crash_area()))});
    if (!host_is_gone && is_the_modules_doing(worker, was, end))
        count_crash(worker, end);
}

void Pool::count_crash(Worker &worker, const ProcessEnd &end) {
    auto &module = *worker.module();
    if (!module.quarantines[worker.uid()].crashed(now_ms(), policy_of(module.manifest), describe(end)))
        return;
    auto text = quarantine_text(module, worker.uid());
    log::error("{} (uid {})", text, worker.uid());
    auto same_user = [&](const Host &host) { return host.uid() == worker.uid(); };
    while (module.current && refuse_first(worker.name(), same_user, kRetExhausted, text)) {
    }
}

// Empty when there is no quarantine.
std::string Pool::quarantine_text(const Module &module, uid_t uid) const {
    auto found = module.quarantines.find(uid);
    uint64_t now = now_ms();
    if (found == module.quarantines.end() || !found->second.holds(now))
        return {};
    return fmt::format("module '{0}' is in quarantine for another {1}: {2} of its workers died within {3} and none served "
                       "well in between, the last of {4}; `berth reset {0}` lifts it",
                       module.manifest.name, for_people(found->second.wait_ms(now)), found->second.crashes(now),
                       for_people(module.manifest.quarantine_window_ms), found->second.how());
}

uint64_t Pool::crash_wait_ms(const Module &module, uid_t uid) const {
    auto found = module.quarantines.find(uid);
    return found == module.quarantines.end() ? 0 : found->second.wait_ms(now_ms());
}

void Pool::reset(Host &host, uint64_t seq, const std::string &name) {
    auto module = find_module(name);
    if (!module)
        return host.refuse(seq, kRetNoModule, unknown_module(name));
    // Who runs the daemon answers for all its users; everybody else for themselves.
    if (host.uid() == 0 || host.uid() == own_identity().uid)
        module->quarantines.clear();
    else
        module->quarantines.erase(host.uid());
    module->backoff.succeeded();
    log::info("module {} is reset by pid {} (uid {})", name, host.pid(), host.uid());
    host.send(std::move(Message(BERTH_MSG_RESET_DONE).with(BERTH_KEY_SEQ, seq)));
    serve(name);
    plan_upkeep(0);
}

void Pool::send_crashes(Host &host, uint64_t seq) {
    auto reply = crashes_.reply_for(host.identity());
    if (!reply)
        return host.refuse(seq, kRetErr, reply.error().text);
    host.send(std::move(Message(BERTH_MSG_CRASHES_REPLY).with(BERTH_KEY_SEQ, seq).with_fd(std::move(*reply))));
}

} // namespace berth
