// The zygotes: at most one for each module and identity, kept as long as workers of theirs are wanted, and made again,
// ever more slowly, when they die.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/backoff.h"
#include "supervisor/graveyard.h"
#include "supervisor/strays.h"
#include "supervisor/zygote.h"

namespace berth {

class ZygotesOwner {
  public:
    using ModulePtr = std::shared_ptr<Module>;
    virtual void on_forked(const ModulePtr &module, const Identity &identity, ForkedProcess forked,
                           UniqueFd control) = 0;
    // These workers, which fork() has promised, will not come.
    virtual void on_forks_failed(const ModulePtr &module, const Identity &identity, size_t count) = 0;
    virtual void on_zygote_gone() = 0;
    virtual bool is_worker(pid_t pid) const = 0;
    // Whether workers of this module and identity are there or wanted.
    virtual bool needs_workers(const Module &module, const Identity &identity) const = 0;
    // Whether processes of this identity that serve nobody may be kept.
    virtual bool may_idle(const Identity &identity) const = 0;

  protected:
    ~ZygotesOwner() = default;
};

class Zygotes : private ZygoteOwner {
  public:
    static constexpr uint64_t kNever = UINT64_MAX;

    // `service`: the socket where workers find the next supervisor; looked at whenever a zygote is started.
    Zygotes(uv_loop_t *loop, Graveyard &graveyard, std::string program, const std::string &service,
            ZygotesOwner &owner);

    // Asks for a worker of a module whose manifest allows it. False: spawn it. keep() then makes a zygote for those to
    // come, so call that soon.
    bool fork(const std::shared_ptr<Module> &module, const Identity &identity);
    size_t forks_under_way(const Module &module, const Identity &identity) const;

    // Starts the zygotes that are wanted, ends those that are not. Milliseconds until it should be called again.
    uint64_t keep();
    // The module may have been mended: tries again what has failed.
    void try_again(const Module &module);

    // Ends all of them, and forgets the forks under way.
    void shut_down();
    bool empty() const { return zygotes_.empty(); } // of processes
    std::vector<const Zygote *> list() const;

  private:
    using Key = std::pair<const Module *, Identity>;
    struct Want {
        std::shared_ptr<Module> module;
        Identity identity;
        Zygote *zygote = nullptr; // while it can be asked, now or once it is ready
        Backoff backoff;
        bool cannot = false; // for good
        uint64_t unneeded_since_ms = 0;
    };

    void on_forked(Zygote &zygote, ForkedProcess forked, UniqueFd control) override;
    void on_zygote_failed(Zygote &zygote, size_t forks, bool for_good) override;
    void on_zygote_exited(Zygote &zygote) override;
    bool knows(pid_t pid) const override;
    static Key key_of(const Zygote &zygote) { return {zygote.module().get(), zygote.identity()}; }
    uint64_t left_of(Want &want, uint64_t now) const;
    uint64_t start(Want &want, uint64_t now);
    void sweep_when_quiet();

    uv_loop_t *loop_;
    Graveyard &graveyard_;
    std::string program_;
    const std::string &service_;
    ZygotesOwner &owner_;
    std::map<Key, Want> wants_;
    std::map<Zygote *, std::unique_ptr<Zygote>> zygotes_; // those that end, too
    Strays strays_;
    bool sweep_due_ = false;
    bool stopping_ = false;
};

} // namespace berth
