// The pool between two leases: teardowns, at most `max_recycling` of a module at once, and whether the worker is handed
// on. A worker that stands in line goes on by itself after its drain timeout, or when the supervisor is gone.
#include "supervisor/pool.h"

#include <algorithm>

#include "kill_point.h"
#include "supervisor/log.h"

namespace berth {
namespace {

constexpr uint64_t kTeardownGraceMs = 1000; // for the worker to end itself before it is killed

} // namespace

void Pool::begin_teardown(Worker &worker) {
    const auto &manifest = worker.module()->manifest;
    worker.apply(WorkerEvent::TeardownBegan,
                 uint64_t{manifest.drain_timeout_ms} + manifest.teardown_timeout_ms + kTeardownGraceMs);
    if (manifest.max_recycling)
        worker.let_recycle();
}

void Pool::on_worker_teardown(Worker &worker) {
    BERTH_KILL_POINT("supervisor.teardown_received");
    auto &module = *worker.module();
    auto recycling = std::count_if(workers_.begin(), workers_.end(), [&](const auto &entry) {
        return entry.first->state() == WorkerState::Recycling && entry.first->module().get() == &module;
    });
    if (module.manifest.max_recycling && static_cast<size_t>(recycling) >= module.manifest.max_recycling)
        module.teardown_line.push_back(worker.pid());
    else
        begin_teardown(worker);
}

// It recycles no longer, or stands in line no longer.
void Pool::leave_teardown(Worker &worker) {
    auto &line = worker.module()->teardown_line;
    if (std::erase(line, worker.pid()) || worker.module()->manifest.max_recycling == 0)
        return;
    while (!line.empty()) {
        pid_t next = line.front();
        line.pop_front();
        auto found = std::find_if(workers_.begin(), workers_.end(),
                                  [&](const auto &entry) { return entry.first->pid() == next; });
        if (found == workers_.end() || (found->first->state() != WorkerState::Draining &&
                                        found->first->state() != WorkerState::Leased))
            continue;
        return begin_teardown(*found->first);
    }
}

void Pool::on_worker_recycled(Worker &worker) {
    BERTH_KILL_POINT("supervisor.recycled_received");
    if (auto crashed = worker.module()->quarantines.find(worker.uid()); crashed != worker.module()->quarantines.end())
        crashed->second.served_well(now_ms());
    end_lease(worker);
    const char *reason = stopping_ ? "the daemon stops" : worker.reason_to_go();
    if (reason) {
        log::debug("worker {} ({}) is not handed on: {}", worker.pid(), worker.name(), reason);
        worker.apply(WorkerEvent::RecycledLast, kRetireBoundMs, "did not retire");
    } else {
        worker.apply(WorkerEvent::Recycled);
    }
    BERTH_KILL_POINT("supervisor.worker_idle");
    leave_teardown(worker);
    serve(std::string(worker.name()));
    plan_upkeep(kSparesAfterMs);
}

} // namespace berth
