// One worker: process, control connection and state machine together. It carries out what the machine says; what the
// events mean for hosts is its owner's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "supervisor/ids.h"
#include "supervisor/module.h"
#include "supervisor/peer.h"
#include "supervisor/wear.h"
#include "supervisor/worker_fsm.h"
#include "supervisor/worker_process.h"

namespace berth {

class Worker;

class WorkerOwner {
  public:
    virtual void on_worker_ready(Worker &worker) = 0;
    virtual void on_worker_load_failed(Worker &worker, const std::string &text) = 0;
    virtual void on_worker_teardown(Worker &worker) = 0; // its library's instance is about to be destroyed
    virtual void on_worker_recycled(Worker &worker) = 0; // still Leased, Draining or Recycling, and bound to its context
    virtual void on_worker_host_broke(Worker &worker, const std::string &text) = 0;
    // The last of it. `was`: the state before its end showed.
    virtual void on_worker_exited(Worker &worker, WorkerState was, const ProcessEnd &end) = 0;

  protected:
    ~WorkerOwner() = default;
};

class Worker : private PeerHandler {
  public:
    static Result<std::unique_ptr<Worker>> spawn(uv_loop_t *loop, const std::string &program,
                                                 const std::string &service, std::shared_ptr<Module> module,
                                                 const Identity &identity, WorkerOwner &owner);
    // How the program is started for a module without an adapter; `service` may be empty.
    static SpawnOptions spawn_options(const std::string &program, const std::string &service,
                                      const Manifest &manifest, const Identity &identity);

    // A worker that served under an earlier supervisor, and goes on: Leased, or Draining where `closing_bound_ms` says
    // how long its close may take.
    struct Former {
        pid_t pid;
        UniqueFd pidfd;
        ContextId context; // as it is called from here on
        uint64_t uses;
        uint64_t closing_bound_ms;
        ModuleWords words;
    };
    static Result<std::unique_ptr<Worker>> adopt_former(uv_loop_t *loop, UniqueFd control,
                                                        std::shared_ptr<Module> module, const Identity &identity,
                                                        Former former, WorkerOwner &owner);

    // A worker that a zygote forked: `forked` is our child, `control` our end of its control connection.
    static std::unique_ptr<Worker> adopt_forked(uv_loop_t *loop, ForkedProcess forked, UniqueFd control,
                                                std::shared_ptr<Module> module, const Identity &identity,
                                                WorkerOwner &owner);

    pid_t pid() const { return process_.pid(); }
    int pidfd() const { return process_.pidfd(); }
    // Sooner than the loop tells: an idle worker may have been killed since the last turn.
    bool has_exited() const { return process_.has_exited(); }
    const Identity &identity() const { return identity_; }
    uid_t uid() const { return identity_.uid; }
    const std::shared_ptr<Module> &module() const { return module_; }
    const std::string &name() const { return module_->manifest.name; }
    // What it has said of its module itself; empty until it is ready.
    const ModuleWords &words() const { return *words_; }
    WorkerState state() const { return fsm_.state(); }
    uint64_t since_ms() const { return fsm_.since_ms(); }
    uint64_t uses() const { return uses_; }
    ContextId context() const { return context_; }
    std::string log_tail() const { return process_.log_tail(); }
    uint64_t started_ms() const { return spawned_ms_; }
    // What it left in its crash area.
    std::string crash_area() const { return process_.crash_area(); }
    // Why the supervisor killed it; empty when it did not.
    const std::string &kill_reason() const { return kill_reason_; }

    // Whether nobody has heard yet how its start went: it is neither ready, nor has it failed, nor was it called off.
    bool start_is_open() const { return start_is_open_; }
    void settle_start() { start_is_open_ = false; }

    // Binds it to a context and sends the lease, which has all but the generation.
    void lease(ContextId context, Message lease);
    // The policy that keeps it from serving another context; nullptr: it may.
    const char *reason_to_go() const;
    // When it has reached max_age_ms; UINT64_MAX: never.
    uint64_t too_old_at_ms() const { return limits_.max_age_ms ? spawned_ms_ + limits_.max_age_ms : UINT64_MAX; }
    // Lets a teardown begin that waits for it.
    void let_recycle();
    // Feeds the machine one event and does what it says. `why` is for the log, should it come to a kill.
    void apply(WorkerEvent event, uint64_t bound_ms = 0, const std::string &why = {});
    // Ends its lease; what its host hears of it, if it is there.
    void recall(uint64_t bound_ms, const std::string &told);
    // Asks how many requests its context has in flight; the answer comes with the loop, or never.
    void ask_count();
    // The answer to the last ask_count; none yet, or none asked for.
    std::optional<uint64_t> in_flight() const { return in_flight_; }
    // The context is over; what it wrote until now was its own.
    void unbind();

  private:
    Worker(uv_loop_t *loop, UniqueFd control, std::shared_ptr<Module> module, const Identity &identity,
           WorkerOwner &owner);
    void on_message(Message message) override;
    void on_gone(const std::string &why) override;
    void dispatch(const Message &message);
    void got_ready(const Message &ready);
    bool names_its_context(const Message &message);
    void misbehaved(const std::string &why);
    void send_recycle();
    void kill(const std::string &why);
    void exited(const ProcessEnd &end);
    void log_line(const std::string &line);
    void arm();

    WorkerOwner &owner_;
    std::shared_ptr<Module> module_;
    std::shared_ptr<const ModuleWords> words_ = std::make_shared<ModuleWords>();
    Identity identity_;
    WorkerProcess process_;
    Peer peer_;
    Timer deadline_;
    WorkerFsm fsm_;
    uint64_t spawned_ms_;
    WearLimits limits_;
    uint64_t uses_ = 0;
    ContextId context_ = ContextId::None;
    ContextId last_context_ = ContextId::None; // what it says of this one crossed what we said
    std::string kill_reason_;
    std::string told_; // why its lease is called back
    WorkerState settled_ = WorkerState::Spawning; // what it was before the first sign of its end
    bool start_is_open_ = true;
    std::optional<uint64_t> in_flight_;
};

} // namespace berth
