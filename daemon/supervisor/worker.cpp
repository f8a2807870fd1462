#include "supervisor/worker.h"

#include <cassert>
#include <fmt/format.h>
#include <random>

#include "kill_point.h"
#include "supervisor/adapter_files.h"
#include "supervisor/log.h"
#include "supervisor/process_memory.h"
#include "supervisor/worker_env.h"

namespace berth {
namespace {

constexpr uint64_t kSpawnBoundMs = 60'000; // large libraries, slow disks
constexpr uint64_t kGoneBoundMs = 1000;    // from the end of the control connection to the end of the process

} // namespace

SpawnOptions Worker::spawn_options(const std::string &program, const std::string &service, const Manifest &manifest,
                                   const Identity &identity) {
    SpawnOptions options{program,
                         {"--module", manifest.name, "--library", manifest.library},
                         worker_environment(own_environment(), manifest.env)};
    if (identity != own_identity())
        options.become = identity;
    if (!service.empty())
        options.args.insert(options.args.end(), {"--service", service});
    return options;
}

Result<std::unique_ptr<Worker>> Worker::spawn(uv_loop_t *loop, const std::string &program,
                                              const std::string &service, std::shared_ptr<Module> module,
                                              const Identity &identity, WorkerOwner &owner) {
    auto pair = socket_pair();
    if (!pair)
        return pair.error();
    const auto &manifest = module->manifest;
    SpawnOptions options = spawn_options(program, service, manifest, identity);
    UniqueFd settings;
    if (!manifest.adapter.empty()) {
        auto made = settings_file(manifest.adapter_settings);
        if (!made)
            return made.error();
        settings = std::move(*made);
        options.args.insert(options.args.end(), {"--adapter", adapter_library(program, manifest.adapter)});
    }
    std::unique_ptr<Worker> worker(new Worker(loop, std::move(pair->first), std::move(module), identity, owner));
    auto spawned = worker->process_.spawn(std::move(options), std::move(pair->second), std::move(settings));
    if (!spawned)
        return spawned.error();
    worker->arm();
    return worker;
}

Result<std::unique_ptr<Worker>> Worker::adopt_former(uv_loop_t *loop, UniqueFd control, std::shared_ptr<Module> module,
                                                     const Identity &identity, Former former, WorkerOwner &owner) {
    std::unique_ptr<Worker> worker(new Worker(loop, std::move(control), std::move(module), identity, owner));
    auto log = worker->process_.adopt_former(former.pid, std::move(former.pidfd));
    if (!log)
        return log.error();
    worker->settle_start();
    worker->apply(WorkerEvent::Ready);
    worker->context_ = former.context;
    worker->uses_ = former.uses;
    worker->words_ = std::make_shared<ModuleWords>(std::move(former.words));
    worker->apply(WorkerEvent::Lease);
    if (former.closing_bound_ms)
        worker->apply(WorkerEvent::Closing, former.closing_bound_ms);
    worker->peer_.send(std::move(
        Message(BERTH_MSG_ADOPTED).with(BERTH_KEY_CONTEXT, number(former.context)).with_fd(std::move(*log))));
    return worker;
}

std::unique_ptr<Worker> Worker::adopt_forked(uv_loop_t *loop, ForkedProcess forked, UniqueFd control,
                                             std::shared_ptr<Module> module, const Identity &identity,
                                             WorkerOwner &owner) {
    std::unique_ptr<Worker> worker(new Worker(loop, std::move(control), std::move(module), identity, owner));
    worker->process_.adopt_forked(std::move(forked));
    worker->arm();
    return worker;
}

Worker::Worker(uv_loop_t *loop, UniqueFd control, std::shared_ptr<Module> module, const Identity &identity,
               WorkerOwner &owner)
    : owner_(owner), module_(std::move(module)), identity_(identity),
      process_(loop,
               {[this](const std::string &line) { log_line(line); }, [this](const ProcessEnd &end) { exited(end); }}),
      peer_(loop, std::move(control), *this),
      deadline_(loop, [this] { apply(WorkerEvent::TimeUp, 0, fmt::format("{} for too long", name_of(state()))); }),
      fsm_(now_ms(), kSpawnBoundMs), spawned_ms_(now_ms()),
      limits_(WearLimits::draw(module_->manifest, std::random_device{}())) {}

void Worker::lease(ContextId context, Message lease) {
    context_ = context;
    peer_.send(std::move(lease.with(BERTH_KEY_GENERATION, ++uses_)));
    apply(WorkerEvent::Lease);
}

void Worker::unbind() {
    process_.end_chapter();
    last_context_ = context_;
    context_ = ContextId::None;
}

const char *Worker::reason_to_go() const {
    if (!module_->current)
        return "its manifest has changed";
    if (module_->manifest.recycle == RecyclePolicy::Process)
        return "recycle = \"process\"";
    return limits_.reached_by({uses_, now_ms() - spawned_ms_, limits_.max_rss_bytes ? rss_bytes(pid()) : 0});
}

void Worker::let_recycle() {
    peer_.send(std::move(Message(BERTH_MSG_RECYCLE_NOW).with(BERTH_KEY_CONTEXT, number(context_))));
    BERTH_KILL_POINT("supervisor.recycle_now_sent");
}

void Worker::recall(uint64_t bound_ms, const std::string &told) {
    told_ = told;
    apply(WorkerEvent::Recall, bound_ms);
}

void Worker::send_recycle() {
    Message recycle(BERTH_MSG_RECYCLE);
    recycle.with(BERTH_KEY_CONTEXT, number(context_));
    if (!told_.empty())
        recycle.with_text(BERTH_KEY_WHY, told_);
    peer_.send(std::move(recycle));
}

void Worker::apply(WorkerEvent event, uint64_t bound_ms, const std::string &why) {
    WorkerState from = state();
    switch (fsm_.handle(event, now_ms(), bound_ms)) {
    case WorkerAction::Illegal:
        log::error("worker {} ({}): {} cannot be in {}", pid(), name(), name_of(event), name_of(from));
        assert(!"illegal transition of a worker");
        return;
    case WorkerAction::SendRecycle:
        send_recycle();
        break;
    case WorkerAction::SendRetire:
        peer_.send(Message(BERTH_MSG_RETIRE));
        BERTH_KILL_POINT("supervisor.retire_sent");
        break;
    case WorkerAction::Kill:
        kill(why);
        break;
    case WorkerAction::Nothing:
        break;
    }
    if (event != WorkerEvent::ControlLost && event != WorkerEvent::Exited)
        settled_ = state();
    arm();
}

void Worker::arm() {
    auto due = fsm_.deadline_ms();
    if (!due)
        return deadline_.stop();
    uint64_t now = now_ms();
    deadline_.start(*due > now ? *due - now : 0);
}

void Worker::ask_count() {
    in_flight_.reset();
    peer_.send(std::move(Message(BERTH_MSG_COUNT).with(BERTH_KEY_CONTEXT, number(context_))));
}

void Worker::kill(const std::string &why) {
    log::warn("worker {} ({}) is killed: {}", pid(), name(), why);
    kill_reason_ = why;
    process_.kill();
}

void Worker::log_line(const std::string &line) {
    auto context = context_ == ContextId::None ? std::string("-") : std::to_string(number(context_));
    log::info("[{}/{}/{}] {}", name(), context, pid(), line);
}

void Worker::on_message(Message message) {
    if (state() == WorkerState::Dead)
        return;
    dispatch(message);
}

void Worker::dispatch(const Message &message) {
    switch (message.type()) {
    case BERTH_MSG_READY:
        return got_ready(message);
    case BERTH_MSG_LOAD_FAILED:
        if (state() != WorkerState::Spawning && state() != WorkerState::Retiring)
            return misbehaved("load_failed after ready");
        return owner_.on_worker_load_failed(*this, std::string(message.text(BERTH_KEY_TEXT)));
    case BERTH_MSG_TEARDOWN:
        if (!names_its_context(message) || state() == WorkerState::Retiring)
            return;
        if (state() == WorkerState::Recycling)
            return misbehaved("a second teardown of one context");
        return owner_.on_worker_teardown(*this);
    case BERTH_MSG_RECYCLED:
        if (names_its_context(message) && state() != WorkerState::Retiring)
            owner_.on_worker_recycled(*this);
        return;
    case BERTH_MSG_COUNTED:
        if (ContextId{message.number(BERTH_KEY_CONTEXT)} == context_)
            in_flight_ = message.number(BERTH_KEY_IN_FLIGHT);
        return;
    case BERTH_MSG_HOST_BROKE:
        if (names_its_context(message) && state() != WorkerState::Retiring)
            owner_.on_worker_host_broke(*this, printable(message.text(BERTH_KEY_TEXT)));
        return;
    default:
        return misbehaved(fmt::format("a worker does not send {}", message.type_name()));
    }
}

void Worker::got_ready(const Message &ready) {
    if (state() == WorkerState::Retiring)
        return;
    if (state() != WorkerState::Spawning)
        return misbehaved("a second ready");
    words_ = module_->words.ready(uid(), words_of(ready));
    settle_start();
    log::info("worker {} ({}) ready in {} ms", pid(), name(), now_ms() - since_ms());
    owner_.on_worker_ready(*this);
}

bool Worker::names_its_context(const Message &message) {
    auto named = ContextId{message.number(BERTH_KEY_CONTEXT)};
    if (named == context_ && named != ContextId::None)
        return true;
    if (named == last_context_ && named != ContextId::None)
        return false;
    misbehaved(fmt::format("{} of context {}, it has {}", message.type_name(), number(named), number(context_)));
    return false;
}

void Worker::misbehaved(const std::string &why) { apply(WorkerEvent::Misbehaved, 0, why); }

void Worker::on_gone(const std::string &why) {
    if (state() == WorkerState::Dead)
        return;
    if (!why.empty())
        return misbehaved(why);
    apply(WorkerEvent::ControlLost, kGoneBoundMs);
}

void Worker::exited(const ProcessEnd &end) {
    // What it said before it went is news: why it could not load, or that its context was gone in time.
    peer_.drain();
    apply(WorkerEvent::Exited);
    peer_.close();
    owner_.on_worker_exited(*this, settled_, end);
}

} // namespace berth
