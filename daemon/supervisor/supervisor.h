// The loop's owner: listens, knows the hosts, and ends it all in order.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/graveyard.h"
#include "supervisor/host.h"
#include "supervisor/listener.h"
#include "supervisor/pool.h"

namespace berth {

struct SupervisorConfig {
    std::vector<std::string> module_dirs;
    std::string worker_program;
    std::string socket_path;
    std::string crash_folder; // for crash reports as files; empty: none are written
    UniqueFd listening;    // passed by systemd
    UniqueFd private_host; // a connected socket: serve this host alone and end with it
};

class Supervisor : private HostOwner {
  public:
    Supervisor(uv_loop_t *loop, SupervisorConfig config);

    // Listens, or takes the private host. After an error run() must not be called.
    Result<bool> start();
    // Until a signal, or the private host's end, and all workers are gone.
    void run();

  private:
    void on_open(Host &host, Message open) override;
    void on_closing(Host &host, ContextId context, uint64_t timeout_ms) override;
    void on_rejoin(Host &host, const Message &rejoin) override;
    void on_worker_came_back(Host &host, Message message) override;
    void on_status(Host &host, uint64_t seq) override;
    void on_crashes(Host &host, uint64_t seq) override { pool_.send_crashes(host, seq); }
    void on_reset(Host &host, uint64_t seq, const std::string &module) override { pool_.reset(host, seq, module); }
    void on_host_gone(Host &host, const std::string &why) override;

    void look_for_counts();
    void send_status(Host &host, uint64_t seq);
    Result<bool> start_listening();
    void forget(Host &host);
    Result<bool> admit(UniqueFd socket);
    void reload();
    void take_signal(int signal);
    void stop(const std::string &why);
    void finish();

    uv_loop_t *loop_;
    SupervisorConfig config_;
    uint64_t started_ms_;
    bool is_private_;
    bool stopping_ = false;
    bool out_of_patience_ = false; // the rest has been killed
    Graveyard graveyard_;
    Pool pool_;
    std::map<Host *, std::unique_ptr<Host>> hosts_;
    std::unique_ptr<Listener> listener_;
    std::vector<std::unique_ptr<SignalWatch>> signals_;
    static constexpr int kStatusRounds = 50;
    static constexpr uint64_t kStatusRoundMs = 2;
    std::vector<std::pair<Host *, uint64_t>> status_asked_; // host and seq: they wait for the workers' counts
    int status_rounds_ = 0;
    Timer status_timer_;
    Timer patience_; // while stopping
};

} // namespace berth
