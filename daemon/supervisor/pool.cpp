#include "supervisor/pool.h"

#include <algorithm>
#include <fmt/format.h>

#include "kill_point.h"
#include "supervisor/log.h"
#include "supervisor/rets.h"

namespace berth {
namespace {

constexpr uint64_t kUpkeepAfterMs = 2;
constexpr uint64_t kLoadFailedBoundMs = 2000;

} // namespace

Pool::Pool(uv_loop_t *loop, Graveyard &graveyard, PoolConfig config)
    : loop_(loop), graveyard_(graveyard), config_(std::move(config)),
      zygotes_(loop, graveyard, config_.worker_program, config_.service, *this), crashes_(config_.crash_folder),
      upkeep_(loop, [this] { upkeep(); }), claims_timer_(loop, [this] { claims_due(); }),
      returns_timer_(loop, [this] { returns_over(); }) {}

std::shared_ptr<Module> Pool::find_module(const std::string &name) const {
    auto found = modules_.find(name);
    return found == modules_.end() ? nullptr : found->second;
}

// A module whose workers can serve on keeps its object; only what is the daemon's own business changes.
std::shared_ptr<Module> Pool::adopt_manifest(Manifest manifest) {
    auto module = find_module(manifest.name);
    if (!module || !module->manifest.serves_like(manifest)) {
        auto users = module ? module->users : std::set<Identity>();
        module = std::make_shared<Module>();
        module->users = std::move(users);
    }
    if (module->manifest != manifest)
        module->quarantines.clear();
    module->manifest = std::move(manifest);
    module->backoff.succeeded(); // somebody may have mended it
    zygotes_.try_again(*module);
    return module;
}

void Pool::set_catalogue(Catalogue catalogue) {
    std::map<std::string, std::shared_ptr<Module>> next;
    for (auto &manifest : catalogue.modules) {
        auto module = adopt_manifest(std::move(manifest));
        next.emplace(module->manifest.name, module);
    }
    for (auto &[name, module] : modules_)
        module->current = false;
    for (auto &[name, module] : next)
        module->current = true;
    modules_ = std::move(next);
    broken_ = std::move(catalogue.broken);
    for (const auto &broken : broken_)
        log::error("{}", broken.error);
    retire_outdated();
    for (auto open = opens_.begin(); open != opens_.end();) {
        auto here = open++;
        if (find_module(here->module))
            continue;
        refuse(*here, kRetNoModule, unknown_module(here->module));
        opens_.erase(here);
    }
    for (const auto &[name, module] : modules_)
        serve(name);
    plan_upkeep(0);
}

Result<bool> Pool::spawn(const std::shared_ptr<Module> &module, const Identity &identity) {
    if (zygotes_.fork(module, identity))
        return true;
    plan_upkeep(kUpkeepAfterMs); // which makes a zygote for the next one, where it may
    return spawn_process(module, identity);
}

Result<bool> Pool::spawn_process(const std::shared_ptr<Module> &module, const Identity &identity) {
    BERTH_KILL_POINT("supervisor.before_spawn");
    auto worker = Worker::spawn(loop_, config_.worker_program, config_.service, module, identity, *this);
    if (!worker) {
        module->backoff.failed(now_ms());
        module->words.failed(identity.uid, worker.error().text);
        log::error("module {}: {}", module->manifest.name, worker.error().text);
        return worker.error();
    }
    BERTH_KILL_POINT("supervisor.spawned");
    Worker *key = worker->get();
    workers_.emplace(key, std::move(*worker));
    return true;
}

// The one that idles least: its pages are warm, and those that nobody needs grow old.
Worker *Pool::find_idle(const Module &module, const Identity &identity) const {
    Worker *best = nullptr;
    for (const auto &[worker, owned] : workers_)
        if (worker->state() == WorkerState::Idle && worker->module().get() == &module &&
            worker->identity() == identity && (!best || worker->since_ms() > best->since_ms()) && !worker->has_exited())
            best = worker;
    return best;
}

size_t Pool::count(const Module &module, const Identity &identity, WorkerState state) const {
    return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(), [&](const auto &entry) {
        const Worker &worker = *entry.first;
        return worker.state() == state && worker.module().get() == &module && worker.identity() == identity;
    }));
}

// Those whose host has just closed its context: they are back sooner than a new one would be there.
size_t Pool::count_soon_idle(const Module &module, const Identity &identity) const {
    uint64_t now = now_ms();
    return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(), [&](const auto &entry) {
        const Worker &worker = *entry.first;
        return worker.state() == WorkerState::Draining && worker.module().get() == &module &&
               worker.identity() == identity && !worker.reason_to_go() && now - worker.since_ms() < kSoonMs;
    }));
}

void Pool::retire(Worker &worker) {
    worker.settle_start();
    worker.apply(WorkerEvent::Retire, kRetireBoundMs);
}

void Pool::retire_outdated() {
    for (const auto &[worker, owned] : workers_)
        if (!worker->module()->current &&
            (worker->state() == WorkerState::Idle || worker->state() == WorkerState::Spawning))
            retire(*worker);
}

void Pool::on_worker_ready(Worker &worker) {
    BERTH_KILL_POINT("supervisor.ready_received");
    worker.apply(WorkerEvent::Ready);
    if (!worker.module()->current || stopping_)
        return retire(worker);
    serve(std::string(worker.name()));
    plan_upkeep(kUpkeepAfterMs);
}

void Pool::on_worker_load_failed(Worker &worker, const std::string &said) {
    std::string text(cut(said, WordsBook::kMostError));
    worker.settle_start();
    worker.apply(WorkerEvent::LoadFailed, kLoadFailedBoundMs, "did not end after its module failed to load");
    auto &module = *worker.module();
    module.words.failed(worker.uid(), text);
    module.backoff.failed(now_ms());
    log::error("worker {} ({}) cannot load its module: {}", worker.pid(), worker.name(), printable(text));
    while (module.current && refuse_first(worker.name(), is_of(worker.identity()), kRetErr, text)) {
    }
}

void Pool::failed_to_start(Worker &worker, const ProcessEnd &end) {
    worker.settle_start();
    auto &module = *worker.module();
    auto text = end.not_started.empty() ? fmt::format("module '{}': its worker ended before it was ready: {}{}{}",
                                                      worker.name(), describe(end),
                                                      worker.kill_reason().empty() ? "" : "; killed: ",
                                                      worker.kill_reason())
                                        : no_worker(module, end.not_started);
    module.words.failed(worker.uid(), text); // without what it has printed, which has no place in a table
    module.backoff.failed(now_ms());
    auto tail = worker.log_tail();
    if (module.current)
        refuse_first(worker.name(), is_of(worker.identity()), kRetErr, tail.empty() ? text : text + "\n" + tail);
}

void Pool::on_worker_exited(Worker &worker, WorkerState was, const ProcessEnd &end) {
    BERTH_KILL_POINT("supervisor.death_seen");
    report_death(worker, end);
    BERTH_KILL_POINT("supervisor.death_told");
    note_crash(worker, was, end);
    bool expected = was == WorkerState::Retiring && worker.context() == ContextId::None;
    auto text = fmt::format("worker {} ({}) ended while {}: {}", worker.pid(), worker.name(), name_of(was),
                            describe(end));
    expected ? log::info("{}", text) : log::warn("{}", text);
    if (worker.start_is_open())
        failed_to_start(worker, end);
    else if (was == WorkerState::Idle)
        worker.module()->backoff.failed(now_ms());
    leave_teardown(worker);
    end_lease(worker);
    auto name = worker.name();
    auto found = workers_.find(&worker);
    graveyard_.take(std::move(found->second));
    workers_.erase(found);
    serve(name);
    plan_upkeep(kUpkeepAfterMs);
    if (stopping_ && empty())
        config_.on_empty();
}

void Pool::ask_counts() {
    for (auto &[id, lease] : leases_)
        lease.worker->ask_count();
}

bool Pool::all_counted() const {
    return std::all_of(leases_.begin(), leases_.end(),
                       [](const auto &entry) { return entry.second.worker->in_flight().has_value(); });
}

void Pool::shut_down() {
    stopping_ = true;
    upkeep_.stop();
    for (auto &open : opens_)
        refuse(open, kRetUnavailable, "berthd is shutting down");
    opens_.clear();
    zygotes_.shut_down();
    for (const auto &[worker, owned] : workers_) {
        if (worker->state() == WorkerState::Leased)
            recall(*worker, 0, "the service was stopped");
        else if (worker->state() == WorkerState::Idle || worker->state() == WorkerState::Spawning)
            retire(*worker);
    }
}

void Pool::kill_all(const std::string &why) {
    for (const auto &[worker, owned] : workers_)
        worker->apply(WorkerEvent::TimeUp, 0, why);
}

} // namespace berth
