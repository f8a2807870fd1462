// Kills this and that, and remembers.
#pragma once

#include <chrono>
#include <csignal>
#include <memory>
#include <random>
#include <sstream>
#include <vector>

#include "host_process.h"
#include "processes.h"
#include "service.h"

namespace berth::test {

class Weather {
  public:
    Weather(Service &service, uint32_t seed) : service_(service), random_(seed) {
        for (int i = 0; i < 2; i++)
            hosts_.push_back(std::make_unique<HostProcess>(service.socket()));
    }

    void blow() {
        sleep_ms(static_cast<int>(10 + random_() % 80));
        uint32_t what = random_() % 100;
        if (what < 3)
            kill_service();
        else if (what < 15)
            kill_host();
        else
            kill_worker();
    }
    std::string log() const { return log_.str(); }

    int workers = 0, hosts = 0, services = 0;

  private:
    void note(const char *what, pid_t pid) {
        auto past = std::chrono::steady_clock::now() - began_;
        auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(past).count();
        log_ << ms << " ms: " << what << ' ' << pid << '\n';
    }
    void kill_worker() {
        auto alive = own_processes("berth-worker");
        if (alive.empty())
            return;
        pid_t pid = alive[random_() % alive.size()];
        note("worker", pid);
        ::kill(pid, SIGKILL);
        workers++;
    }
    void kill_host() {
        auto &host = hosts_[random_() % hosts_.size()];
        note("host", host->pid());
        host.reset();
        hosts++;
        host = std::make_unique<HostProcess>(service_.socket());
    }
    void kill_service() {
        note("berthd", service_.pid());
        service_.kill();
        services++;
        sleep_ms(static_cast<int>(random_() % 100));
        service_.start_again();
    }

    Service &service_;
    std::mt19937 random_;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    std::ostringstream log_;
    std::vector<std::unique_ptr<HostProcess>> hosts_;
};

} // namespace berth::test
