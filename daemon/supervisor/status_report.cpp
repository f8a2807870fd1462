#include "supervisor/status_report.h"

#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <unistd.h>

#include "supervisor/process_memory.h"
#include "supervisor/sealed_body.h"
#include "supervisor/version.h"

namespace berth {
namespace {

using Json = nlohmann::json;

Json names(const std::string &lines) {
    Json out = Json::array();
    for (size_t at = 0; at < lines.size();) {
        size_t end = std::min(lines.find('\n', at), lines.size());
        out.push_back(lines.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

Json describe_daemon(const DaemonFacts &facts) {
    return {{"pid", ::getpid()},
            {"version", kVersion},
            {"uptime_ms", now_ms() - facts.started_ms},
            {"socket", facts.socket.empty() ? Json() : Json(facts.socket)},
            {"private", facts.is_private},
            {"rss_bytes", rss_bytes(::getpid())}};
}

// Crashes in a row, who is in quarantine, and how long until the next worker may be started for whoever waits longest.
void put_crashes(Json &out, const Module &module) {
    size_t crashes = 0;
    uint64_t wait = 0, now = now_ms();
    Json held = Json::array();
    for (const auto &[uid, quarantine] : module.quarantines) {
        crashes += quarantine.crashes(now);
        wait = std::max(wait, quarantine.wait_ms(now));
        if (quarantine.holds(now))
            held.push_back(uid);
    }
    out["crashes"] = crashes;
    out["quarantined"] = held;
    out["held_back_ms"] = wait;
}

Json describe_policy(const Manifest &manifest) {
    return {{"spares", manifest.spares},
            {"max_contexts", manifest.max_contexts},
            {"recycle", manifest.recycle == RecyclePolicy::Process ? "process" : "context"},
            {"max_recycling", manifest.max_recycling},
            {"zygote", manifest.zygote},
            {"max_uses", manifest.max_uses},
            {"max_rss_mib", manifest.max_rss_mib},
            {"max_age_ms", manifest.max_age_ms},
            {"idle_timeout_ms", manifest.idle_timeout_ms},
            {"drain_timeout_ms", manifest.drain_timeout_ms},
            {"teardown_timeout_ms", manifest.teardown_timeout_ms},
            {"start_grace_ms", manifest.start_grace_ms},
            {"overflow", manifest.overflow == OverflowPolicy::Sticky ? "sticky" : "drop"},
            {"max_events", manifest.max_events},
            {"max_event_bytes", manifest.max_event_bytes}};
}

// What is not as `known` has it.
void put_words(Json &out, const WordsBook::Entry &words, const WordsBook::Entry &known) {
    bool was_ready = *words.said != ModuleWords{};
    if (was_ready && words.said->method_names != known.said->method_names)
        out["methods"] = names(words.said->method_names);
    if (was_ready && words.said->version != known.said->version)
        out["version"] = words.said->version;
    if (words.error != known.error)
        out["error"] = words.error;
}

// By user.
void put_differs(Json &out, const WordsBook &book, const WordsBook::Entry &own) {
    Json differs = Json::array();
    for (const auto &[uid, words] : book.entries()) {
        Json differing = Json::object();
        put_words(differing, words, own);
        if (differing.empty())
            continue;
        differing["uid"] = uid;
        differs.push_back(std::move(differing));
    }
    if (!differs.empty())
        out["differs"] = std::move(differs);
}

Json describe_module(const Pool &pool, const Module &module, uid_t viewer) {
    const auto &manifest = module.manifest;
    size_t workers = 0, contexts = 0;
    for (const auto &[worker, owned] : pool.workers()) {
        workers += worker->name() == manifest.name;
        contexts += worker->name() == manifest.name && worker->context() != ContextId::None;
    }
    Json out = {{"name", manifest.name},
                {"library", printable(manifest.library)},
                {"description", manifest.description},
                {"file", printable(manifest.file)},
                {"methods", Json::array()},
                {"policy", describe_policy(manifest)},
                {"contexts", contexts},
                {"workers", workers}};
    put_crashes(out, module);
    auto own = module.words.of(viewer);
    put_words(out, own, WordsBook().of(viewer));
    if (viewer == 0)
        put_differs(out, module.words, own);
    return out;
}

Json describe_modules(const Pool &pool, uid_t viewer) {
    Json out = Json::array();
    for (const auto &[name, module] : pool.modules())
        out.push_back(describe_module(pool, *module, viewer));
    for (const auto &broken : pool.broken())
        out.push_back({{"name", broken.name}, {"file", printable(broken.file)}, {"error", printable(broken.error)}});
    return out;
}

Json describe_workers(const Pool &pool) {
    Json out = Json::array();
    uint64_t now = now_ms();
    std::map<pid_t, const Worker *> by_pid; // an order that stays from one status to the next
    for (const auto &[worker, owned] : pool.workers())
        by_pid.emplace(worker->pid(), worker);
    for (auto [pid, worker] : by_pid)
        out.push_back({{"pid", pid},
                       {"module", worker->name()},
                       {"state", name_of(worker->state())},
                       {"since_ms", now - worker->since_ms()},
                       {"uses", worker->uses()},
                       {"rss_bytes", rss_bytes(worker->pid())},
                       {"uid", worker->uid()}});
    return out;
}

Json describe_zygotes(const Pool &pool) {
    Json out = Json::array();
    uint64_t now = now_ms();
    for (const Zygote *zygote : pool.zygotes().list())
        out.push_back({{"pid", zygote->pid()},
                       {"module", zygote->module()->manifest.name},
                       {"state", name_of(zygote->state())},
                       {"since_ms", now - zygote->since_ms()},
                       {"forks", zygote->forks()},
                       {"rss_bytes", rss_bytes(zygote->pid())},
                       {"uid", zygote->identity().uid}});
    return out;
}

// in_flight is known to host and worker alone: null when the worker did not say in time.
Json describe_context(ContextId id, const std::string &module, pid_t worker, pid_t host, const char *state,
                      uint64_t since_ms, std::optional<uint64_t> in_flight) {
    return {{"id", number(id)},   {"module", module}, {"worker_pid", worker},
            {"host_pid", host},   {"state", state},   {"since_ms", now_ms() - since_ms},
            {"in_flight", in_flight ? Json(*in_flight) : Json()}};
}

// As its host sees it. Whether its create has run, host and worker alone know.
const char *context_state(WorkerState worker) {
    if (worker == WorkerState::Leased)
        return "Active";
    return worker == WorkerState::Recycling ? "Recycling" : "RecyclePending";
}

Json describe_contexts(const Pool &pool) {
    Json out = Json::array();
    for (const auto &[id, lease] : pool.leases())
        out.push_back(describe_context(id, lease.worker->name(), lease.worker->pid(), lease.host_pid,
                                       context_state(lease.worker->state()),
                                       lease.since_ms, lease.worker->in_flight()));
    for (const auto &open : pool.opens())
        out.push_back(describe_context(open.context, open.module, 0, open.host->pid(), "Opening", open.since_ms, {}));
    return out;
}

} // namespace

Result<UniqueFd> status_report(const Pool &pool, const DaemonFacts &facts, uid_t viewer) {
    Json report = {{"daemon", describe_daemon(facts)},
                   {"modules", describe_modules(pool, viewer)},
                   {"workers", describe_workers(pool)},
                   {"zygotes", describe_zygotes(pool)},
                   {"contexts", describe_contexts(pool)}};
    return sealed_body("berth-status", Json::to_cbor(report));
}

} // namespace berth
