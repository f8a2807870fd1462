// The pool's opens: each waits in line until a worker has it, or a bound passes. One that finds an idle worker takes
// the short way: lease to the worker, opened to the host, and everything else (spares) later.
#include "supervisor/pool.h"

#include <algorithm>
#include <fmt/format.h>

#include "kill_point.h"
#include "supervisor/log.h"
#include "supervisor/rets.h"

namespace berth {
namespace {

constexpr uint64_t kOpenTimeoutMs = 10'000;
constexpr uint64_t kMaxOpenTimeoutMs = 3'600'000;
constexpr size_t kWithDoorbell = 3; // descriptors of an open whose segment is of major 1
constexpr size_t kMaxSpawning = 8; // of one module for one user: more would only be slower together

} // namespace

void Pool::open(Host &host, Message message) {
    BERTH_KILL_POINT("supervisor.open_received");
    PendingOpen open{ContextId{next_context_++},
                     &host,
                     message.number(BERTH_KEY_SEQ),
                     std::string(message.text(BERTH_KEY_MODULE)),
                     now_ms(),
                     kOpenTimeoutMs,
                     message.take_fd(0),
                     message.take_fd(1),
                     message.needed_fds() == kWithDoorbell ? message.take_fd(2) : UniqueFd(),
                     nullptr};
    if (message.has(BERTH_KEY_TIMEOUT_MS))
        open.timeout_ms = std::min(message.number(BERTH_KEY_TIMEOUT_MS), kMaxOpenTimeoutMs);
    open.attempt = message.has(BERTH_KEY_ATTEMPT) ? message.number(BERTH_KEY_ATTEMPT) : 0;
    auto module = find_module(open.module);
    if (stopping_)
        return host.refuse(open.seq, kRetUnavailable, "berthd is shutting down");
    if (!module)
        return host.refuse(open.seq, kRetNoModule, unknown_module(open.module));
    if (host.opens_pending >= kMaxPendingPerHost)
        return host.refuse(open.seq, kRetBusy, fmt::format("{} opens of this host wait already", kMaxPendingPerHost));
    if (auto quarantine = quarantine_text(*module, host.uid()); !quarantine.empty())
        return host.refuse(open.seq, kRetExhausted, quarantine);
    if (auto why = why_not_run_as(host.identity()); !why.empty())
        return host.refuse(open.seq, kRetDenied, why);
    auto waits = [&](const PendingOpen &other) { return other.module == open.module; };
    Worker *idle = at_limit(*module) || std::any_of(opens_.begin(), opens_.end(), waits)
                       ? nullptr
                       : find_idle(*module, host.identity());
    if (!idle || !lease(open, *idle))
        queue(std::move(open));
    module->users.insert(host.identity());
    take_place(host.identity());
}

void Pool::queue(PendingOpen open) {
    auto &entry = opens_.emplace_back(std::move(open));
    entry.host->opens_pending++;
    entry.timer = std::make_unique<Timer>(loop_, [this, id = entry.context] { timed_out(id); });
    entry.timer->start(entry.timeout_ms);
    serve(std::string(entry.module));
}

// Gives the waiting opens of a module their workers, in order, and spawns what is missing.
void Pool::serve(const std::string &name) {
    auto module = find_module(name);
    if (!module || stopping_)
        return;
    size_t granted = 0;
    std::map<Identity, size_t> wanted;
    for (auto open = opens_.begin(); open != opens_.end();) {
        auto here = open++;
        if (here->module != name)
            continue;
        size_t most = module->manifest.max_contexts;
        if (most && (expects_returns_ || leases_of(*module) + granted >= most))
            break;
        Worker *idle = find_idle(*module, here->host->identity());
        if (idle && lease(*here, *idle)) {
            here->host->opens_pending--;
            opens_.erase(here);
            continue;
        }
        granted++;
        wanted[here->host->identity()]++;
    }
    spawn_for(module, wanted);
}

void Pool::spawn_for(const std::shared_ptr<Module> &module, const std::map<Identity, size_t> &wanted) {
    for (const auto &[identity, opens] : wanted) {
        if (uint64_t wait = crash_wait_ms(*module, identity.uid)) {
            plan_upkeep(wait);
            continue;
        }
        size_t soon = count_soon_idle(*module, identity);
        if (soon)
            plan_upkeep(kSoonMs);
        size_t most = std::min(opens - std::min(opens, soon), kMaxSpawning);
        for (size_t coming = count_coming(*module, identity); coming < most; coming++) {
            auto spawned = spawn(module, identity);
            if (!spawned)
                refuse_first(module->manifest.name, is_of(identity), kRetErr,
                             no_worker(*module, spawned.error().text));
        }
    }
}

// Empty: its workers can be what it is. One with other rights would lend it those, or miss some of its own.
std::string Pool::why_not_run_as(const Identity &identity) const {
    if (identity == own_identity() || may_change_identity())
        return {};
    return fmt::format("this berthd has no right to start workers as its host ({}): it is {} itself, without "
                       "CAP_SETUID, CAP_SETGID and CAP_KILL",
                       describe(identity), describe(own_identity()));
}

std::string Pool::no_worker(const Module &module, const std::string &why) const {
    return fmt::format("no worker for module '{}' could be started: {}", module.manifest.name, why);
}

void Pool::refuse(PendingOpen &open, int ret, const std::string &text) {
    log::info("open of {} by pid {} refused: {}", printable(open.module), open.host->pid(),
              text.substr(0, text.find('\n')));
    open.host->opens_pending--;
    open.host->refuse(open.seq, ret, text);
}

bool Pool::refuse_first(const std::string &module, const std::function<bool(const Host &)> &of, int ret,
                        const std::string &text) {
    auto waits = [&](const PendingOpen &open) { return open.module == module && of(*open.host); };
    auto found = std::find_if(opens_.begin(), opens_.end(), waits);
    if (found == opens_.end())
        return false;
    refuse(*found, ret, text);
    opens_.erase(found);
    return true;
}

void Pool::timed_out(ContextId context) {
    auto found = std::find_if(opens_.begin(), opens_.end(), [&](const auto &open) { return open.context == context; });
    if (found == opens_.end())
        return;
    auto module = find_module(found->module);
    auto error = module ? module->words.of(found->host->uid()).error : "";
    if (!module)
        refuse(*found, kRetNoModule, unknown_module(found->module));
    else if (at_limit(*module) && expects_returns_)
        refuse(*found, kRetExhausted,
               fmt::format("module '{}' has max_contexts, and contexts of the last berthd may still come back",
                           found->module));
    else if (at_limit(*module))
        refuse(*found, kRetExhausted,
               fmt::format("module '{}' has its {} contexts in use (max_contexts), and none ended in {} ms",
                           found->module, module->manifest.max_contexts, found->timeout_ms));
    else
        refuse(*found, kRetExhausted,
               fmt::format("module '{}': no worker got ready in {} ms{}{}{}", found->module, found->timeout_ms,
                           crash_wait_ms(*module, found->host->uid()) ? "; they crash, and new ones are held back" : "",
                           error.empty() ? "" : "; the last one: ", error));
    opens_.erase(found);
}

std::string Pool::unknown_module(const std::string &name) const {
    std::string known;
    for (const auto &[other, module] : modules_)
        known += (known.empty() ? "" : ", ") + other;
    auto text = fmt::format("no module '{}'; known are: {}", printable(name.substr(0, 64)),
                            known.empty() ? "none" : known.substr(0, 2048));
    for (const auto &broken : broken_)
        if (broken.name == name)
            text += fmt::format(" ({})", broken.error);
    return text;
}

} // namespace berth
