// The pool's upkeep, in the background of what hosts ask for: keeps spares ready, and lets idle workers go.
#include "supervisor/pool.h"

#include <algorithm>

#include "supervisor/log.h"

namespace berth {
namespace {

constexpr uint64_t kNever = UINT64_MAX;
constexpr uint64_t kNextAgedMs = 50;
constexpr size_t kMostUsersRemembered = 256; // of a module
constexpr uint64_t kNextSpareMs = 2;     // one spawn per turn: each holds the loop for a moment

} // namespace

void Pool::plan_upkeep(uint64_t in_ms) {
    uint64_t at = now_ms() + in_ms;
    if (stopping_ || (upkeep_at_ms_ != 0 && upkeep_at_ms_ <= at))
        return;
    upkeep_at_ms_ = at;
    upkeep_.start(in_ms);
}

void Pool::upkeep() {
    upkeep_at_ms_ = 0;
    if (stopping_)
        return;
    for (const auto &[name, module] : modules_)
        serve(name);
    forget_places();
    uint64_t next = std::min({retire_surplus(), retire_aged(), zygotes_.keep()});
    for (const auto &[name, module] : modules_)
        next = std::min(next, keep_spares(module));
    if (next != kNever)
        plan_upkeep(next);
}

size_t Pool::spares_wanted(const Module &module, const Identity &identity) const {
    bool used = (config_.spares_at_once && identity == own_identity()) ||
                (module.users.contains(identity) && users_.contains(identity));
    size_t spares = module.current && used && may_idle(identity) ? module.manifest.spares : 0;
    if (size_t most = module.manifest.max_contexts; most != 0)
        spares = std::min(spares, most - std::min(most, leases_of(module)));
    return spares;
}

// Milliseconds until it should be looked at again.
uint64_t Pool::keep_spares(const std::shared_ptr<Module> &module) {
    if (module->manifest.spares == 0)
        return kNever;
    uint64_t next = keep_spares(module, own_identity());
    for (const auto &identity : module->users)
        if (users_.contains(identity) && identity != own_identity())
            next = std::min(next, keep_spares(module, identity));
    return next;
}

uint64_t Pool::keep_spares(const std::shared_ptr<Module> &module, const Identity &identity) {
    size_t taken = opens_waiting(*module, identity);
    size_t have = count(*module, identity, WorkerState::Idle) + count_coming(*module, identity);
    if (have >= spares_wanted(*module, identity) + taken)
        return kNever;
    if (uint64_t left = std::max(module->backoff.left_ms(now_ms()), crash_wait_ms(*module, identity.uid)))
        return left;
    if (!spawn(module, identity))
        return module->backoff.left_ms(now_ms());
    return kNextSpareMs;
}

size_t Pool::opens_waiting(const Module &module, const Identity &identity) const {
    return static_cast<size_t>(std::count_if(opens_.begin(), opens_.end(), [&](const PendingOpen &open) {
        return open.module == module.manifest.name && open.host->identity() == identity;
    }));
}

bool Pool::may_idle(const Identity &identity) const { return identity == own_identity() || places_.has(identity); }

void Pool::take_place(const Identity &identity) {
    if (auto loser = places_.take(identity))
        log::info("uid {} uses more than {} identities: what idles for the one of long ago ({}) ends",
                  identity.uid, IdlePlaces::kMostOfAUser, describe(*loser));
}

// Of those that have neither hosts nor processes.
void Pool::forget_places() {
    std::set<Identity> served;
    for (const auto &[worker, owned] : workers_)
        served.insert(worker->identity());
    for (const Zygote *zygote : zygotes_.list())
        served.insert(zygote->identity());
    places_.keep_only([&](const Identity &identity) { return users_.contains(identity) || served.contains(identity); });
}

// Its last host is gone. That it had a module open is remembered for when it comes back, of so many at most: one user
// can have as many identities as there are sets of its groups.
void Pool::forget_user(const Identity &identity) {
    users_.erase(identity);
    for (const auto &[name, module] : modules_)
        if (module->users.size() > kMostUsersRemembered)
            module->users.erase(identity);
}

// Idle workers past max_age. One at a time, so that a replacement is there before the next one goes.
uint64_t Pool::retire_aged() {
    uint64_t next = kNever, now = now_ms();
    for (const auto &[worker, owned] : workers_) {
        uint64_t due = worker->too_old_at_ms();
        if (due == kNever)
            continue;
        if (worker->state() != WorkerState::Idle)
            continue; // upkeep comes by when it is; until then there is nothing to wait for
        if (due > now) {
            next = std::min(next, due - now);
            continue;
        }
        log::info("worker {} ({}) is replaced: max_age_ms", worker->pid(), worker->name());
        retire(*worker);
        return kNextAgedMs;
    }
    return next;
}

uint64_t Pool::retire_surplus() {
    std::map<std::pair<Module *, Identity>, std::vector<Worker *>> idle;
    for (const auto &[worker, owned] : workers_)
        if (worker->state() == WorkerState::Idle)
            idle[{worker->module().get(), worker->identity()}].push_back(worker);
    uint64_t next = kNever, now = now_ms();
    for (auto &[key, workers] : idle) {
        bool may = may_idle(key.second);
        size_t wanted = may ? spares_wanted(*key.first, key.second) : opens_waiting(*key.first, key.second);
        size_t keep = std::min(workers.size(), wanted);
        std::sort(workers.begin(), workers.end(), [](auto *a, auto *b) { return a->since_ms() < b->since_ms(); });
        workers.resize(workers.size() - keep);
        for (Worker *worker : workers) {
            uint64_t due = may ? worker->since_ms() + worker->module()->manifest.idle_timeout_ms : now;
            if (due <= now)
                retire(*worker);
            else
                next = std::min(next, due - now);
        }
    }
    return next;
}

} // namespace berth
