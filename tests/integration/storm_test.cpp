// A storm: hosts with several threads call, listen and close while workers, hosts and the supervisor are killed at
// random. The seed and the length are BERTH_STORM_SEED and BERTH_STORM_SECONDS; what was killed when is told on failure.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <doctest/doctest.h>
#include <memory>
#include <random>
#include <sstream>
#include <thread>

#include "cbor_text.h"
#include "host.h"
#include "host_process.h"
#include "leak_check.h"
#include "manifests.h"
#include "service.h"

using namespace berth::test;

namespace {

using Clock = std::chrono::steady_clock;

unsigned setting(const char *name, unsigned usual) {
    const char *given = std::getenv(name);
    return given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : usual;
}

// What the threads of the host have seen.
struct Tally {
    std::atomic<long> opened{0}, refused{0}, answered{0}, cut_off{0}, events{0};
    std::atomic<long> lost{0}, doubled{0}, wrong{0}; // these are to stay 0
};

bool may_end_with(int ret) {
    return ret == BERTH_RET_WORKER_DIED || ret == BERTH_RET_RECYCLED || ret == BERTH_RET_CANCELLED ||
           ret == BERTH_RET_TIMEOUT || ret == BERTH_RET_UNAVAILABLE || ret == BERTH_RET_CLOSED;
}

void judge(Tally &tally, int ret, const std::string &bytes, const std::string &expected) {
    if (ret == BERTH_RET_OK && bytes == expected)
        tally.answered++;
    else if (may_end_with(ret))
        tally.cut_off++;
    else
        tally.wrong++;
}

struct Pending {
    std::string expected;
    Record record;
};

// One context from its opening to its close, with everything that was asked of it answered.
class Life {
  public:
    Life(const Host &host, Tally &tally, std::mt19937 &random) : host_(host), tally_(tally), random_(random) {}

    void live() {
        Answer opened = open_answer(host_, "echo", "", &context_, {.timeout_ms = 5000});
        if (opened.ret != BERTH_RET_OK) {
            tally_.refused++;
            return;
        }
        tally_.opened++;
        berth_listen(context_, "tick", count_event, &tally_, nullptr);
        for (int i = 0, rounds = static_cast<int>(random_() % 60); i < rounds; i++)
            do_something(i);
        end();
    }

  private:
    static void count_event(int, const uint8_t *, size_t, void *user_data) { static_cast<Tally *>(user_data)->events++; }

    void submit(const std::string &method, const std::string &data, const std::string &expected) {
        auto pending = std::make_unique<Pending>();
        pending->expected = expected;
        if (berth_submit(context_, method_id(method), data.data(), data.size(), Record::callback, &pending->record,
                         nullptr) == BERTH_RET_OK)
            pending_.push_back(std::move(pending));
    }

    void do_something(int i) {
        std::string text = "number " + std::to_string(i);
        switch (random_() % 4) {
        case 0:
            return submit("echo", text, text);
        case 1:
            return submit("later", later_request(random_() % 20, text), text);
        case 2: {
            std::string emit = cbor(R"({"count": 5, "bytes": 16})");
            berth_submit(context_, method_id("emit"), emit.data(), emit.size(), ignore, nullptr, nullptr);
            return;
        }
        default:
            berth_reply reply;
            int ret = berth_call(context_, method_id("echo"), text.data(), text.size(), 20000, &reply);
            judge(tally_, ret, {reinterpret_cast<const char *>(reply.data), reply.len}, text);
            berth_reply_free(&reply);
        }
    }
    static void ignore(int, const uint8_t *, size_t, void *) {}

    void end() {
        Record closed;
        if (random_() % 2) {
            berth_close(context_, nullptr, nullptr);
        } else if (berth_close(context_, Record::callback, &closed) == BERTH_RET_OK) {
            if (!eventually([&] { return closed.answered(); }))
                tally_.lost++;
        }
        for (auto &one : pending_) {
            if (!eventually([&] { return one->record.answered(); }))
                tally_.lost++;
            else
                judge(tally_, one->record.ret, one->record.bytes, one->expected);
        }
        for (auto &one : pending_)
            tally_.doubled += one->record.terminal > 1;
    }

    const Host &host_;
    Tally &tally_;
    std::mt19937 &random_;
    berth_context context_{0};
    std::vector<std::unique_ptr<Pending>> pending_;
};

// Kills this and that, and remembers.
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
        auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_).count();
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
    Clock::time_point began_ = Clock::now();
    std::ostringstream log_;
    std::vector<std::unique_ptr<HostProcess>> hosts_;
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a storm of kills: no answer is lost, doubled or wrong, and nothing stays behind") {
    unsigned seed = setting("BERTH_STORM_SEED", 7), seconds = setting("BERTH_STORM_SECONDS", 60);
    Manifests manifests;
    manifests.add_echo("spares = 2\nquarantine_after = 0\n");
    Service service({.modules = manifests.path()});
    Tally tally;
    std::string log;
    {
        Host host(service.socket());
        std::atomic<bool> stop{false};
        std::vector<std::thread> threads;
        for (unsigned thread = 0; thread < 4; thread++)
            threads.emplace_back([&, thread] {
                std::mt19937 random(seed + 1 + thread);
                while (!stop)
                    Life(host, tally, random).live();
            });
        Weather weather(service, seed);
        for (auto until = Clock::now() + std::chrono::seconds(seconds); Clock::now() < until;)
            weather.blow();
        stop = true;
        for (auto &thread : threads)
            thread.join();
        log = weather.log();
        MESSAGE("seed " << seed << ", " << seconds << " s: killed " << weather.workers << " workers, " << weather.hosts
                        << " hosts, " << weather.services << " supervisors; opened " << tally.opened.load() << " contexts ("
                        << tally.refused.load() << " refused), " << tally.answered.load() << " answers, " << tally.cut_off.load()
                        << " requests cut off, " << tally.events.load() << " events");
        CHECK(weather.workers > 0);
    }
    CHECK(tally.answered > 0);
    CHECK_MESSAGE(tally.lost == 0, log);
    CHECK_MESSAGE(tally.doubled == 0, log);
    CHECK_MESSAGE(tally.wrong == 0, log);
}
