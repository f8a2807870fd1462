// Storms: threads of a host open, call, listen, cancel and close, all at once. In one of them workers, hosts and the
// supervisor are killed at random, in the other nobody is. With a build of -Dkill_points=true and BERTH_DELAY_SEED
// threads stand still at the kill points, too (proto/kill_point.h).
//
// BERTH_STORM_SEED, BERTH_STORM_SECONDS (of each), BERTH_STORM_CASE (all its threads do this, see cases.h; unset: the
// seed chooses, again and again), BERTH_STORM_PATIENCE (watch.h).
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <doctest/doctest.h>
#include <iostream>
#include <thread>
#include <unistd.h>

#include "cases.h"
#include "leak_check.h"
#include "manifests.h"
#include "weather.h"

using namespace berth::test;

namespace {

using Clock = std::chrono::steady_clock;

unsigned setting(const char *name, unsigned usual) {
    const char *given = std::getenv(name);
    return given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : usual;
}

const StormCase &chosen(std::mt19937 &random) {
    const char *name = std::getenv("BERTH_STORM_CASE");
    for (const auto &one : kStormCases)
        if (name && std::strcmp(name, one.name) == 0)
            return one;
    REQUIRE_MESSAGE(!name, "no such case: " << name);
    return kStormCases[random() % std::size(kStormCases)];
}

// Nothing can be waited for any more: a thread that does not come back holds all that would be given back.
[[noreturn]] void lost(const std::string &what, const std::string &how) {
    std::cout << "NEVER CAME: " << what << "\n" << how << std::endl;
    for (pid_t pid : own_processes())
        ::kill(pid, SIGKILL);
    ::_exit(1);
}

class Storm {
  public:
    Storm(bool calm, unsigned seconds) : calm_(calm), seconds_(seconds), seed_(setting("BERTH_STORM_SEED", 7)) {
        tally_.calm = calm;
        manifests_.add_echo("spares = 2\nquarantine_after = 0\n");
        const char *name = std::getenv("BERTH_STORM_CASE"), *delays = std::getenv("BERTH_DELAY_SEED");
        how_ = "BERTH_STORM_SEED=" + std::to_string(seed_) + " BERTH_STORM_SECONDS=" + std::to_string(seconds_) +
               (name ? std::string(" BERTH_STORM_CASE=") + name : "") +
               (delays ? std::string(" BERTH_DELAY_SEED=") + delays : "");
        MESSAGE(how_);
    }

    void rage() {
        Service service({.modules = manifests_.path()});
        {
            Host host(service.socket());
            Watch watch([this](const std::string &what) { lost(what, how_ + '\n' + tally_.first_faults()); });
            std::vector<std::thread> threads;
            for (unsigned number = 0; number < 4; number++)
                threads.emplace_back([&, number] { live(service.socket(), host.handle(), watch, number); });
            wait(service);
            stop_ = true;
            for (auto &thread : threads)
                thread.join();
        }
        MESSAGE(how_ << ": opened " << tally_.opened.load() << " contexts (" << tally_.refused.load() << " refused), "
                     << tally_.answered.load() << " answers, " << tally_.cut_off.load() << " cut off, "
                     << tally_.events.load() << " events" << killed_);
        CHECK(tally_.answered + tally_.refused > 0);
        CHECK_MESSAGE(tally_.faults == 0, log_ << tally_.first_faults());
    }

  private:
    void live(const std::string &socket, berth_client client, Watch &watch, unsigned number) {
        Scene scene{socket, client, tally_, watch, std::mt19937(seed_ + 1 + number), calm_};
        while (!stop_)
            chosen(scene.random).run(scene);
    }

    void wait(Service &service) {
        auto until = Clock::now() + std::chrono::seconds(seconds_);
        if (calm_) {
            while (Clock::now() < until && tally_.faults == 0)
                sleep_ms(20);
            return;
        }
        Weather weather(service, seed_);
        while (Clock::now() < until)
            weather.blow();
        log_ = weather.log();
        killed_ = "; killed " + std::to_string(weather.workers) + " workers, " + std::to_string(weather.hosts) +
                  " hosts, " + std::to_string(weather.services) + " supervisors";
        CHECK(weather.workers > 0);
    }

    bool calm_;
    unsigned seconds_, seed_;
    Manifests manifests_;
    Tally tally_;
    std::atomic<bool> stop_{false};
    std::string how_, log_, killed_;
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a storm of kills: no answer is lost, doubled or wrong, and nothing stays behind") {
    Storm(false, setting("BERTH_STORM_SECONDS", 60)).rage();
}

TEST_CASE_FIXTURE(LeakChecked, "a storm without kills: everything is answered, and well") {
    Storm(true, setting("BERTH_STORM_SECONDS", 15)).rage();
}
