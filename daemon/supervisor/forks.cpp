// The pool's forked workers: those that zygotes make, and what becomes of the opens that wait for them when they do not.
#include "supervisor/pool.h"

#include <algorithm>
#include <fmt/format.h>

#include "supervisor/rets.h"

namespace berth {
namespace {
constexpr uint64_t kUpkeepAfterMs = 2;
} // namespace

void Pool::on_forked(const std::shared_ptr<Module> &module, const Identity &identity, ForkedProcess forked,
                     UniqueFd control) {
    auto worker = Worker::adopt_forked(loop_, std::move(forked), std::move(control), module, identity, *this);
    Worker *key = worker.get();
    workers_.emplace(key, std::move(worker));
    if (!module->current || stopping_)
        retire(*key);
}

void Pool::on_forks_failed(const std::shared_ptr<Module> &module, const Identity &identity, size_t count) {
    if (!module->current)
        return serve(module->manifest.name); // what waits is for another module now
    if (uint64_t wait = crash_wait_ms(*module, identity.uid))
        return plan_upkeep(wait); // workers crashed meanwhile, and new ones are held back
    for (size_t i = 0; i < count; i++) {
        if (auto spawned = spawn_process(module, identity); !spawned)
            refuse_first(module->manifest.name, is_of(identity), kRetErr, no_worker(*module, spawned.error().text));
    }
}

void Pool::on_zygote_gone() {
    plan_upkeep(kUpkeepAfterMs);
    if (stopping_ && empty())
        config_.on_empty();
}

bool Pool::is_worker(pid_t pid) const {
    return std::any_of(workers_.begin(), workers_.end(), [&](const auto &entry) { return entry.first->pid() == pid; });
}

bool Pool::needs_workers(const Module &module, const Identity &identity) const {
    return spares_wanted(module, identity) > 0 || zygotes_.forks_under_way(module, identity) > 0 ||
           std::any_of(workers_.begin(), workers_.end(), [&](const auto &entry) {
               return entry.first->module().get() == &module && entry.first->identity() == identity;
           });
}

size_t Pool::count_coming(const Module &module, const Identity &identity) const {
    return count(module, identity, WorkerState::Spawning) + zygotes_.forks_under_way(module, identity);
}

} // namespace berth
