// What a worker costs until it is ready, spawned and forked, beside the least that a process with the library loaded can
// cost: vfork, exec, dlopen. And what memory each idle worker takes. Turn by turn, so that a machine that drifts does so
// for all alike.
//
//   worker-start WORKER DLOPEN_CHILD [--rounds N] NAME=LIBRARY...      one JSON object for each module, on a line
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <spawn.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "supervisor/graveyard.h"
#include "supervisor/log.h"
#include "supervisor/zygote.h"

namespace {

using namespace berth;
using Json = nlohmann::ordered_json;

constexpr size_t kIdleWorkers = 8; // among which shared pages are divided
constexpr uint64_t kBoundMs = 60'000;

[[noreturn]] void fail(const std::string &what) {
    std::fprintf(stderr, "worker-start: %s\n", what.c_str());
    std::exit(1);
}

double at(std::vector<double> samples, double share) {
    std::sort(samples.begin(), samples.end());
    return samples[static_cast<size_t>(share * static_cast<double>(samples.size()))];
}

double rounded(double value) { return std::round(value * 100) / 100; }

// The median and, as a busy machine adds to most samples but not to all, the tenth percentile.
Json summary(const std::vector<double> &samples) {
    return {{"p10", rounded(at(samples, 0.1))}, {"p50", rounded(at(samples, 0.5))}};
}

Json ratio(const std::vector<double> &one, const std::vector<double> &other) {
    return {{"p10", rounded(at(one, 0.1) / at(other, 0.1))}, {"p50", rounded(at(one, 0.5) / at(other, 0.5))}};
}

double us_since(uint64_t started_ns) { return static_cast<double>(uv_hrtime() - started_ns) / 1000; }

// KiB of a line of /proc/PID/smaps_rollup.
double memory_kib(pid_t pid, const std::string &key) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
    for (std::string line; std::getline(in, line);)
        if (line.rfind(key + ":", 0) == 0)
            return std::strtod(line.c_str() + key.size() + 1, nullptr);
    fail("no " + key + " of process " + std::to_string(pid));
}

// posix_spawn is a vfork and an exec.
double bare_us(const std::string &program, const std::string &library) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        fail("socketpair");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], 3);
    char *argv[] = {const_cast<char *>(program.c_str()), const_cast<char *>(library.c_str()), nullptr};
    pid_t pid = 0;
    uint64_t started = uv_hrtime();
    int rc = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, environ);
    ::close(pair[1]);
    char byte;
    if (rc != 0 || ::read(pair[0], &byte, 1) != 1)
        fail("the bare process did not start");
    double took = us_since(started);
    ::close(pair[0]);
    ::waitpid(pid, nullptr, 0);
    posix_spawn_file_actions_destroy(&actions);
    return took;
}

// The supervisor's own code for workers and zygotes, on a loop of its own.
class Starter : private WorkerOwner, private ZygoteOwner {
  public:
    Starter(uv_loop_t *loop, std::string program, std::shared_ptr<Module> module)
        : loop_(loop), program_(std::move(program)), module_(std::move(module)), graveyard_(loop),
          bound_(loop, [] { fail("nothing happens any more"); }) {
        auto zygote = Zygote::start(loop_, program_, "", module_, identity_, *this);
        if (!zygote)
            fail(zygote.error().text);
        zygote_ = std::move(*zygote);
        run_until([&] { return zygote_->state() == Zygote::State::Ready; });
    }
    ~Starter() {
        zygote_->end();
        run_until([&] { return !zygote_; });
    }

    double spawn_us() {
        uint64_t started = uv_hrtime();
        auto worker = Worker::spawn(loop_, program_, "", module_, identity_, *this);
        if (!worker)
            fail(worker.error().text);
        return until_ready(started, std::move(*worker));
    }
    double fork_us() {
        uint64_t started = uv_hrtime();
        if (!zygote_->fork())
            fail("the zygote cannot fork");
        return until_ready(started, nullptr);
    }
    void retire_all() {
        for (auto &worker : workers_)
            worker->apply(WorkerEvent::Retire, 2000);
        run_until([&] { return workers_.empty(); });
    }
    std::vector<pid_t> pids() const {
        std::vector<pid_t> out;
        for (auto &worker : workers_)
            out.push_back(worker->pid());
        return out;
    }
    pid_t zygote() const { return zygote_->pid(); }

  private:
    double until_ready(uint64_t started, std::unique_ptr<Worker> worker) {
        size_t before = ready_;
        if (worker)
            workers_.push_back(std::move(worker));
        run_until([&] { return ready_ > before; });
        return us_since(started);
    }
    void run_until(const std::function<bool()> &so) {
        bound_.start(kBoundMs);
        while (!so())
            uv_run(loop_, UV_RUN_ONCE);
        bound_.stop();
    }

    void on_worker_ready(Worker &worker) override {
        worker.apply(WorkerEvent::Ready);
        ready_++;
    }
    void on_worker_load_failed(Worker &, const std::string &text) override { fail(text); }
    void on_worker_teardown(Worker &) override {}
    void on_worker_recycled(Worker &) override {}
    void on_worker_host_broke(Worker &, const std::string &) override {}
    void on_worker_exited(Worker &worker, WorkerState was, const ProcessEnd &end) override {
        if (was != WorkerState::Retiring)
            fail("a worker ended: " + describe(end));
        auto found = std::find_if(workers_.begin(), workers_.end(), [&](auto &each) { return each.get() == &worker; });
        graveyard_.take(std::move(*found));
        workers_.erase(found);
    }
    void on_forked(Zygote &, ForkedProcess forked, UniqueFd control) override {
        workers_.push_back(Worker::adopt_forked(loop_, std::move(forked), std::move(control), module_, identity_, *this));
    }
    void on_zygote_failed(Zygote &, size_t, bool) override { fail("the zygote failed"); }
    void on_zygote_exited(Zygote &) override { graveyard_.take(std::move(zygote_)); }
    bool knows(pid_t) const override { return false; }

    uv_loop_t *loop_;
    std::string program_;
    std::shared_ptr<Module> module_;
    Identity identity_ = own_identity();
    Graveyard graveyard_;
    Timer bound_;
    std::unique_ptr<Zygote> zygote_;
    std::vector<std::unique_ptr<Worker>> workers_;
    size_t ready_ = 0;
};

Json memory(Starter &starter, const std::function<void()> &start_one) {
    for (size_t i = 0; i < kIdleWorkers; i++)
        start_one();
    ::usleep(50'000); // they have said that they are ready, and now fall asleep
    Json out = Json::object();
    for (const char *key : {"Pss", "Rss", "Private_Dirty"}) {
        double sum = 0;
        for (pid_t pid : starter.pids())
            sum += memory_kib(pid, key);
        out[key] = rounded(sum / kIdleWorkers);
    }
    starter.retire_all();
    return out;
}

Json measure(uv_loop_t *loop, const std::string &worker, const std::string &child, const std::string &name,
             const std::string &library, int rounds) {
    auto module = std::make_shared<Module>();
    module->manifest.name = name;
    module->manifest.library = library;
    Starter starter(loop, worker, module);
    std::vector<double> bare, spawned, forked;
    for (int round = -2; round < rounds; round++) { // two to warm up
        double times[] = {bare_us(child, library), starter.spawn_us(), (starter.retire_all(), starter.fork_us())};
        starter.retire_all();
        if (round < 0)
            continue;
        bare.push_back(times[0]);
        spawned.push_back(times[1]);
        forked.push_back(times[2]);
    }
    Json out = {{"module", name},
                {"samples", rounds},
                {"bare_us", summary(bare)},
                {"cold_worker_us", summary(spawned)},
                {"zygote_worker_us", summary(forked)},
                {"cold_to_bare", ratio(spawned, bare)},
                {"zygote_to_bare", ratio(forked, bare)},
                {"zygote_to_cold", ratio(forked, spawned)}};
    out["cold_kib"] = memory(starter, [&] { starter.spawn_us(); });
    out["zygote_kib"] = memory(starter, [&] { starter.fork_us(); });
    out["zygote_itself_kib"] = {{"Pss", memory_kib(starter.zygote(), "Pss")}, {"Rss", memory_kib(starter.zygote(), "Rss")}};
    return out;
}

} // namespace

int main(int argc, char **argv) {
    int rounds = 100;
    std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() > 3 && words[2] == "--rounds") {
        rounds = std::max(1, std::atoi(words[3].c_str()));
        words.erase(words.begin() + 2, words.begin() + 4);
    }
    if (words.size() < 3)
        fail("usage: worker-start WORKER DLOPEN_CHILD [--rounds N] NAME=LIBRARY...");
    berth::log::start("error");
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0)
        fail("no event loop can be had");
    for (size_t i = 2; i < words.size(); i++) {
        size_t equals = words[i].find('=');
        if (equals == std::string::npos)
            fail("not NAME=LIBRARY: " + words[i]);
        std::puts(measure(&loop, words[0], words[1], words[i].substr(0, equals), words[i].substr(equals + 1), rounds)
                      .dump()
                      .c_str());
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
