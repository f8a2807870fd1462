// The modules, their workers, and who has which: opens are matched with workers, leases end, spares are kept.
//
// pool.cpp has the modules and their workers, spares.cpp their upkeep, opens.cpp and leases.cpp what hosts ask for,
// recycling.cpp what happens between two leases, forks.cpp the workers that zygotes make, crashes.cpp what becomes of
// crashes, rejoin.cpp what an earlier supervisor left behind.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/crash_store.h"
#include "supervisor/graveyard.h"
#include "supervisor/host.h"
#include "supervisor/idle_places.h"
#include "supervisor/manifest_dir.h"
#include "supervisor/rejoin_book.h"
#include "supervisor/worker.h"
#include "supervisor/zygotes.h"

namespace berth {

// An open that has no worker yet.
struct PendingOpen {
    ContextId context;
    Host *host;
    uint64_t seq;
    std::string module;
    uint64_t since_ms;
    uint64_t timeout_ms;
    UniqueFd segment, wake, doorbell; // wake: its socket; where there is a doorbell, its eventfd
    std::unique_ptr<Timer> timer;
    uint64_t attempt = 0; // the host's, for the lease
};

struct Lease {
    Worker *worker;
    Host *host; // nullptr: gone, or has not come back yet
    pid_t host_pid;
    uint64_t since_ms;
};

struct PoolConfig {
    std::string worker_program;
    bool spares_at_once;            // for the daemon's own identity; else only for who has opened the module
    std::string crash_folder;       // where crash reports are written too; empty: nowhere
    std::function<void()> on_empty; // after shut_down: the last worker is gone
    std::string service = {};       // its socket; empty: no supervisor will follow this one
};

class Pool : private WorkerOwner, private ZygotesOwner {
  public:
    static constexpr size_t kMaxPendingPerHost = 1024;

    Pool(uv_loop_t *loop, Graveyard &graveyard, PoolConfig config);

    // At start and when manifests are read again. Contexts stay as they are; workers of modules that changed or went
    // end when they are idle.
    void set_catalogue(Catalogue catalogue);
    // Where workers with a context find the next supervisor, should this one be killed.
    void set_service(std::string socket) { config_.service = std::move(socket); }
    // The last supervisor was killed: opens of modules with max_contexts wait until what it left had time to come back.
    void expect_returns();

    // A process at the service's socket says that it is a worker whose supervisor is gone.
    void worker_came_back(const Credentials &peer, UniqueFd socket, UniqueFd pidfd, Message message);
    // A host claims a context that an earlier supervisor opened.
    void rejoin(Host &host, const Message &message);

    void host_came(const Host &host);
    void open(Host &host, Message open);
    void closing(Host &host, ContextId context, uint64_t timeout_ms);
    // Takes back all that it has; it is not spoken to again.
    void host_gone(Host &host);

    // Answers with the reports of crashes that this host may see.
    void send_crashes(Host &host, uint64_t seq);
    // Forgets a module's crashes: those of the host's user, or all where the host may speak for all.
    void reset(Host &host, uint64_t seq, const std::string &module);

    // Refuses opens from now on and takes every worker back, each by its bound.
    void shut_down();
    // After shut_down: those that are left.
    void kill_all(const std::string &why);
    bool empty() const { return workers_.empty() && zygotes_.empty(); }

    // Has the workers with a context count what they have in flight, for a status soon after.
    void ask_counts();
    bool all_counted() const;

    const std::map<std::string, std::shared_ptr<Module>> &modules() const { return modules_; }
    const std::vector<BrokenManifest> &broken() const { return broken_; }
    const std::map<Worker *, std::unique_ptr<Worker>> &workers() const { return workers_; }
    const Zygotes &zygotes() const { return zygotes_; }
    const std::list<PendingOpen> &opens() const { return opens_; }
    const std::map<ContextId, Lease> &leases() const { return leases_; }

  private:
    void on_worker_ready(Worker &worker) override;
    void on_worker_load_failed(Worker &worker, const std::string &text) override;
    void on_worker_teardown(Worker &worker) override;
    void on_worker_recycled(Worker &worker) override;
    void on_worker_host_broke(Worker &worker, const std::string &text) override;
    void on_worker_exited(Worker &worker, WorkerState was, const ProcessEnd &end) override;

    void on_forked(const std::shared_ptr<Module> &module, const Identity &identity, ForkedProcess forked,
                   UniqueFd control) override;
    void on_forks_failed(const std::shared_ptr<Module> &module, const Identity &identity, size_t count) override;
    void on_zygote_gone() override;
    bool is_worker(pid_t pid) const override;
    bool needs_workers(const Module &module, const Identity &identity) const override;
    bool may_idle(const Identity &identity) const override;

    static constexpr uint64_t kRetireBoundMs = 2000;
    static constexpr uint64_t kSparesAfterMs = 2; // after a lease begins or ends: the host's next message goes first
    static constexpr uint64_t kSoonMs = 20; // how long an open waits for a worker that drains, before it gets a new one

    // Modules and workers.
    std::shared_ptr<Module> find_module(const std::string &name) const;
    std::shared_ptr<Module> adopt_manifest(Manifest manifest);
    Result<bool> spawn(const std::shared_ptr<Module> &module, const Identity &identity);
    Result<bool> spawn_process(const std::shared_ptr<Module> &module, const Identity &identity);
    size_t count_coming(const Module &module, const Identity &identity) const;
    Worker *find_idle(const Module &module, const Identity &identity) const;
    size_t count(const Module &module, const Identity &identity, WorkerState state) const;
    size_t count_soon_idle(const Module &module, const Identity &identity) const;
    void retire(Worker &worker);
    void retire_outdated();
    uint64_t retire_surplus();
    uint64_t retire_aged();
    size_t spares_wanted(const Module &module, const Identity &identity) const;
    void plan_upkeep(uint64_t in_ms);
    void upkeep();
    uint64_t keep_spares(const std::shared_ptr<Module> &module);
    uint64_t keep_spares(const std::shared_ptr<Module> &module, const Identity &identity);
    void take_place(const Identity &identity);
    void forget_places();
    size_t opens_waiting(const Module &module, const Identity &identity) const;
    void forget_user(const Identity &identity);
    void failed_to_start(Worker &worker, const ProcessEnd &end);

    // Opens and leases.
    void serve(const std::string &module);
    void spawn_for(const std::shared_ptr<Module> &module, const std::map<Identity, size_t> &wanted);
    bool lease(PendingOpen &open, Worker &worker);
    size_t leases_of(const Module &module) const;
    bool at_limit(const Module &module) const;
    void queue(PendingOpen open);
    void timed_out(ContextId context);
    void refuse(PendingOpen &open, int ret, const std::string &text);
    // The first open of a module that waits, and is of a host that `of` takes. False: there is none.
    bool refuse_first(const std::string &module, const std::function<bool(const Host &)> &of, int ret,
                      const std::string &text);
    std::string why_not_run_as(const Identity &identity) const;
    std::string unknown_module(const std::string &name) const;
    std::string no_worker(const Module &module, const std::string &why) const;
    void end_lease(Worker &worker);
    void report_death(Worker &worker, const ProcessEnd &end);
    void recall(Worker &worker, uint64_t extra_ms, const std::string &told = {});

    // Between two leases.
    void begin_teardown(Worker &worker);
    void leave_teardown(Worker &worker);

    // Crashes.
    void note_crash(Worker &worker, WorkerState was, const ProcessEnd &end);
    void count_crash(Worker &worker, const ProcessEnd &end);
    std::string quarantine_text(const Module &module, uid_t uid) const;
    uint64_t crash_wait_ms(const Module &module, uid_t uid) const;

    // What an earlier supervisor left.
    struct Unclaimed { // a lease whose host has not come back yet
        UniqueFd pidfd;
        std::unique_ptr<Poller> death; // after the pidfd
    };
    static uint64_t host_key(const Host &host) { return reinterpret_cast<uintptr_t>(&host); }
    std::string why_not_back(const Credentials &peer, int pidfd, const Message &message) const;
    void give_back(Host &host, uint64_t seq, ContextId id);
    void deny_claim(const RejoinBook::Claim &claim);
    void plan_claims();
    void claims_due();
    void forget_claims(Host &host);
    void forget_returned(ContextId id);
    void returns_over();

    uv_loop_t *loop_;
    Graveyard &graveyard_;
    PoolConfig config_;
    std::map<std::string, std::shared_ptr<Module>> modules_;
    std::vector<BrokenManifest> broken_;
    std::map<Worker *, std::unique_ptr<Worker>> workers_;
    Zygotes zygotes_;
    std::list<PendingOpen> opens_; // first come, first served
    std::map<ContextId, Lease> leases_;
    std::map<Identity, size_t> users_; // how many hosts are connected
    IdlePlaces places_;
    CrashStore crashes_;
    uint64_t next_context_ = 1;
    bool stopping_ = false;
    uint64_t upkeep_at_ms_ = 0; // 0: none is planned
    Timer upkeep_;
    RejoinBook rejoin_book_;
    std::map<uint64_t, Host *> claims_from_; // connected hosts that have claimed something, by host_key
    std::map<ContextId, Unclaimed> unclaimed_;
    Timer claims_timer_;
    bool expects_returns_ = false;
    Timer returns_timer_;
};

} // namespace berth
