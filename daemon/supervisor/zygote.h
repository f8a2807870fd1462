// One zygote as the supervisor sees it: a process that has loaded a module and forks workers when asked. Nothing that it
// says is believed. Forks that it does not answer, or answers wrongly, are given back to its owner, and it is killed.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "supervisor/worker.h"

namespace berth {

class Zygote;

class ZygoteOwner {
  public:
    // The fork that was asked for first. `control` is our end of the worker's connection.
    virtual void on_forked(Zygote &zygote, ForkedProcess forked, UniqueFd control) = 0;
    // `forks` that were asked for will not come. For good: it cannot fork at all.
    virtual void on_zygote_failed(Zygote &zygote, size_t forks, bool for_good) = 0;
    // The last of it; on_zygote_failed has been called before, unless it was ended.
    virtual void on_zygote_exited(Zygote &zygote) = 0;
    // Whether this process is a worker or a zygote.
    virtual bool knows(pid_t pid) const = 0;

  protected:
    ~ZygoteOwner() = default;
};

class Zygote : private PeerHandler {
  public:
    static constexpr uint64_t kReadyBoundMs = 60'000; // as a worker's
    static constexpr uint64_t kForkBoundMs = 2'000;
    static constexpr size_t kMaxForks = 32; // under way at once; fewer than a Peer queues

    enum class State : uint8_t { Starting, Ready, Ending };

    // `service`: for its workers, as Worker::spawn has it.
    static Result<std::unique_ptr<Zygote>> start(uv_loop_t *loop, const std::string &program,
                                                 const std::string &service, std::shared_ptr<Module> module,
                                                 const Identity &identity, ZygoteOwner &owner);

    // Asks for a worker, which comes with on_forked or, should it not, on_zygote_failed. False: it cannot be asked now.
    bool fork();
    // It is needed no more. Forks under way are dropped: those workers find their connection ended, and exit.
    void end();

    pid_t pid() const { return process_.pid(); }
    const std::shared_ptr<Module> &module() const { return module_; }
    const Identity &identity() const { return identity_; }
    State state() const { return state_; }
    uint64_t since_ms() const { return since_ms_; }
    uint64_t started_ms() const { return started_ms_; }
    size_t forks_under_way() const { return waiting_.size(); }
    uint64_t forks() const { return forks_; }

  private:
    struct Fork {
        uint64_t seq;
        UniqueFd control;
        std::array<UniqueFd, 2> outputs;
        UniqueFd crash_area;
    };

    Zygote(uv_loop_t *loop, UniqueFd control, std::shared_ptr<Module> module, const Identity &identity,
           ZygoteOwner &owner);
    void on_message(Message message) override;
    void on_gone(const std::string &why) override;
    void forked(const Message &message);
    void enter(State state);
    void late();
    void fail(const std::string &why, bool for_good = false);
    void exited(const ProcessEnd &end);

    ZygoteOwner &owner_;
    std::shared_ptr<Module> module_;
    Identity identity_;
    WorkerProcess process_;
    Peer peer_;
    Timer deadline_; // of its start, or of the fork that was asked for first
    State state_ = State::Starting;
    uint64_t started_ms_, since_ms_;
    std::deque<Fork> waiting_; // first asked, first answered
    uint64_t next_seq_ = 1;
    uint64_t forks_ = 0;
};

const char *name_of(Zygote::State state);

} // namespace berth
