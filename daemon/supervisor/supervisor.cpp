#include "supervisor/supervisor.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "supervisor/log.h"
#include "supervisor/process_setup.h"
#include "supervisor/rets.h"
#include "supervisor/status_report.h"

namespace berth {
namespace {
constexpr uint64_t kStopMs = 15'000;
constexpr uint64_t kKilledMs = 2'000; // from SIGKILL to the end, where the kernel lets it end
} // namespace

Supervisor::Supervisor(uv_loop_t *loop, SupervisorConfig config)
    : loop_(loop), config_(std::move(config)), started_ms_(now_ms()), is_private_(bool(config_.private_host)),
      graveyard_(loop),
      pool_(loop, graveyard_,
            {config_.worker_program, !is_private_, config_.crash_folder, [this] { finish(); }}),
      status_timer_(loop, [this] { look_for_counts(); }), patience_(loop, [this] {
          pool_.kill_all("the daemon ends");
          patience_.start(kKilledMs);
          if (std::exchange(out_of_patience_, true))
              finish();
      }) {}

Result<bool> Supervisor::start_listening() {
    auto accepted = [this](UniqueFd socket) {
        if (auto admitted = admit(std::move(socket)); !admitted)
            log::warn("a connection was dropped: {}", admitted.error().text);
    };
    if (config_.listening) {
        listener_ = Listener::adopt(loop_, std::move(config_.listening), accepted);
        return true;
    }
    auto listener = Listener::bind(loop_, config_.socket_path, ::geteuid() == 0, accepted);
    if (!listener)
        return listener.error();
    listener_ = std::move(*listener);
    return true;
}

Result<bool> Supervisor::start() {
    auto serving = is_private_ ? admit(std::move(config_.private_host)) : start_listening();
    if (!serving)
        return serving;
    for (int signal : kWatchedSignals)
        signals_.push_back(std::make_unique<SignalWatch>(loop_, signal, [this, signal] { take_signal(signal); }));
    unblock_signals();
    if (listener_ && !listener_->path().empty())
        pool_.set_service(std::filesystem::absolute(listener_->path()));
    if (listener_ && listener_->follows_a_death())
        pool_.expect_returns();
    pool_.set_catalogue(load_manifests(config_.module_dirs));
    log::info("berthd {} serves {} modules {}", ::getpid(), pool_.modules().size(),
              is_private_ ? std::string("to one host") : "at " + listener_->path());
    ::sd_notify(0, "READY=1");
    return true;
}

void Supervisor::run() { uv_run(loop_, UV_RUN_DEFAULT); }

Result<bool> Supervisor::admit(UniqueFd socket) {
    auto host = Host::adopt(loop_, std::move(socket), *this);
    if (!host)
        return host.error();
    Host *key = host->get();
    log::debug("host {} (uid {}) connected", key->pid(), key->uid());
    pool_.host_came(*key);
    hosts_.emplace(key, std::move(*host));
    return true;
}

void Supervisor::on_open(Host &host, Message open) { pool_.open(host, std::move(open)); }

void Supervisor::on_closing(Host &host, ContextId context, uint64_t timeout_ms) {
    pool_.closing(host, context, timeout_ms);
}

void Supervisor::on_rejoin(Host &host, const Message &rejoin) { pool_.rejoin(host, rejoin); }

void Supervisor::on_worker_came_back(Host &host, Message message) {
    if (is_private_)
        return host.disconnect("a worker at a private supervisor");
    auto connection = host.hand_over();
    Credentials peer = host.credentials();
    forget(host);
    pool_.worker_came_back(peer, std::move(connection.socket), std::move(connection.pidfd), std::move(message));
}

void Supervisor::on_status(Host &host, uint64_t seq) {
    // One at a time for each host, so that one that asks without end costs the others nothing.
    if (std::any_of(status_asked_.begin(), status_asked_.end(),
                    [&](const auto &asked) { return asked.first == &host; }))
        return host.refuse(seq, kRetBusy, "the last status is still being made");
    if (status_asked_.empty()) {
        pool_.ask_counts();
        status_rounds_ = 0;
    }
    status_asked_.push_back({&host, seq});
    look_for_counts();
}

// The workers' counts come within a millisecond; one that does not answer is not waited for long.
void Supervisor::look_for_counts() {
    if (!pool_.all_counted() && ++status_rounds_ < kStatusRounds)
        return status_timer_.start(kStatusRoundMs);
    for (auto [host, seq] : std::exchange(status_asked_, {}))
        send_status(*host, seq);
}

void Supervisor::send_status(Host &host, uint64_t seq) {
    auto report = status_report(pool_, {started_ms_, listener_ ? listener_->path() : "", is_private_}, host.uid());
    if (!report)
        return host.refuse(seq, kRetErr, report.error().text);
    host.send(std::move(Message(BERTH_MSG_STATUS_REPLY).with(BERTH_KEY_SEQ, seq).with_fd(std::move(*report))));
}

void Supervisor::on_host_gone(Host &host, const std::string &why) {
    if (why.empty())
        log::debug("host {} left", host.pid());
    else
        log::warn("host {} ({}) is disconnected: {}", host.pid(), host.name(), why);
    forget(host);
    if (is_private_)
        stop("its host is gone");
}

void Supervisor::forget(Host &host) {
    pool_.host_gone(host);
    std::erase_if(status_asked_, [&](const auto &asked) { return asked.first == &host; });
    auto found = hosts_.find(&host);
    graveyard_.take(std::move(found->second));
    hosts_.erase(found);
}

void Supervisor::reload() {
    if (stopping_)
        return;
    ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", static_cast<unsigned long long>(uv_hrtime() / 1000));
    log::info("reading the manifests again");
    pool_.set_catalogue(load_manifests(config_.module_dirs));
    ::sd_notify(0, "READY=1");
}

// What ends a whole group of processes is the host's to act on: it may owe answers still, and a private supervisor ends
// with it.
void Supervisor::take_signal(int signal) {
    if (signal == SIGHUP)
        reload();
    else if (is_private_)
        log::info("{}: not heeded, as berthd {} serves one host and ends with it", ::strsignal(signal), ::getpid());
    else
        stop(::strsignal(signal));
}

void Supervisor::stop(const std::string &why) {
    if (std::exchange(stopping_, true))
        return;
    log::info("berthd {} stops: {}", ::getpid(), why);
    ::sd_notify(0, "STOPPING=1");
    listener_.reset();
    pool_.shut_down();
    if (pool_.empty())
        return finish();
    patience_.start(kStopMs);
}

void Supervisor::finish() { uv_stop(loop_); }

} // namespace berth
