// A service is killed and started again: contexts serve on, and workers and hosts come back to it.
#include <csignal>
#include <doctest/doctest.h>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "cbor_text.h"
#include "host.h"
#include "host_process.h"
#include "leak_check.h"
#include "manifests.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

// How often a host has had a context given back, by the log of all the service's lives.
size_t given_back(const Service &service) { return service.times_logged(" again\n"); }

void restart(Service &service, size_t contexts) {
    size_t before = given_back(service);
    service.kill();
    service.start_again();
    CHECK_MESSAGE(eventually([&] { return given_back(service) == before + contexts; }), service.log());
}

std::set<int64_t> column(const Host &host, const std::string &table, const std::string &key) {
    std::set<int64_t> values;
    std::string status = host.status().bytes;
    for (int row = 0;; row++) {
        int64_t value = number_at(status, "/" + table + "/" + std::to_string(row) + "/" + key);
        if (value < 0)
            return values;
        values.insert(value);
    }
}

bool no_contexts(const Host &host) {
    return eventually([&] { return column(host, "contexts", "id").empty(); });
}

std::string close_outcome(berth_context context) {
    Record record;
    REQUIRE(berth_close(context, Record::callback, &record) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return record.answered(); }));
    CHECK(record.ret == BERTH_RET_OK);
    return text_at(record.bytes, "/outcome");
}

// Calls a context without end; each call must be right.
class Caller {
  public:
    explicit Caller(const Context &context) : thread_([this, &context] {
        while (!stop_)
            (context.call("echo", "on") == Answer{0, "on"} ? right_ : wrong_)++;
    }) {}
    ~Caller() {
        int before = right_;
        CHECK(eventually([&] { return right_ > before + 10 || wrong_ > 0; }));
        stop_ = true;
        thread_.join();
        CHECK(wrong_ == 0);
    }

  private:
    std::atomic<bool> stop_{false};
    std::atomic<int> right_{0}, wrong_{0};
    std::thread thread_;
};

struct Twenty {
    Host first, second;
    std::vector<std::unique_ptr<Context>> contexts;
    explicit Twenty(const Service &service) : first(service.socket()), second(service.socket()) {
        for (int i = 0; i < 20; i++)
            contexts.push_back(std::make_unique<Context>(i % 2 ? first : second));
    }
};

void check_all_serve(const Twenty &twenty) {
    for (const auto &context : twenty.contexts)
        CHECK(context->call("echo", "there") == Answer{0, "there"});
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "twenty contexts of two hosts come back, with calls in flight over it all") {
    Service service;
    Twenty twenty(service);
    auto workers = column(twenty.first, "contexts", "worker_pid");
    CHECK(workers.size() == 20);
    Record by_callback, by_reap;
    {
        Caller one(*twenty.contexts[0]), two(*twenty.contexts[1]);
        REQUIRE(twenty.contexts[2]->submit("later", later_request(500, "c"), Record::callback, &by_callback) == 0);
        REQUIRE(twenty.contexts[3]->submit("later", later_request(500, "r"), nullptr, &by_reap) == 0);
        restart(service, 20);
        CHECK(Context(twenty.first).call("echo", "new") == Answer{0, "new"}); // at the first try
        check_all_serve(twenty);
    }
    CHECK(eventually([&] { return reap_into_records(twenty.contexts[3]->handle(), 100) >= 0 && by_reap.answered(); }));
    CHECK(eventually([&] { return by_callback.answered(); }));
    CHECK(by_callback.bytes == "c");
    CHECK(by_reap.bytes == "r");
    CHECK(eventually([&] { return column(twenty.second, "contexts", "worker_pid") == workers; }));
    CHECK(column(twenty.second, "contexts", "host_pid") == std::set<int64_t>{::getpid()});
    CHECK(text_at(twenty.second.status().bytes, "/contexts/19/state") == "Active");
    CHECK(number_at(twenty.second.status().bytes, "/daemon/pid") == service.pid());
    for (auto &context : twenty.contexts) {
        CHECK(close_outcome(context->handle()) == "drained");
        context->forget();
    }
    CHECK(no_contexts(twenty.first));
    for (int64_t worker : workers) // they are not used again
        CHECK(gone_soon(static_cast<pid_t>(worker)));
}

TEST_CASE_FIXTURE(LeakChecked, "with a listening socket from systemd, too") {
    Service service({.modules = "", .by_systemd = true});
    Host host(service.socket());
    Context context(host);
    Caller caller(context);
    restart(service, 1);
    CHECK(column(host, "contexts", "id").size() == 1);
    CHECK(Context(host).call("echo", "new") == Answer{0, "new"});
}

TEST_CASE_FIXTURE(LeakChecked, "a worker that dies after it came back is reported, with what it logged since") {
    Manifests manifests;
    manifests.add_test_module("probe");
    Service service({.modules = manifests.path(), .by_systemd = false});
    Host host(service.socket());
    Context context(host, "probe");
    auto worker = static_cast<pid_t>(*column(host, "contexts", "worker_pid").begin());
    service.kill();
    CHECK(context.call("say", "to nobody") == Answer{0, "said"});
    service.start_again();
    CHECK(eventually([&] { return given_back(service) == 1; }));
    CHECK(context.call("say", "to the new one") == Answer{0, "said"});
    CHECK(service.logs("on stdout: to the new one"));
    CHECK(service.logs("on stderr: to the new one"));
    CHECK(service.log().find("to nobody") == std::string::npos);
    ::kill(worker, SIGKILL);
    Answer verdict;
    CHECK(eventually([&] { return (verdict = context.call("say", "")).ret != BERTH_RET_OK; }));
    CHECK(verdict.ret == BERTH_RET_WORKER_DIED);
    CHECK(number_at(verdict.bytes, "/pid") == worker);
    CHECK(number_at(verdict.bytes, "/signal") == -1);
    CHECK(text_at(verdict.bytes, "/last_log").find("to the new one") != std::string::npos);
    CHECK(service.logs("killed or exited, status unknown"));
    CHECK(no_contexts(host));
    CHECK(Context(host, "probe").call("say", "next") == Answer{0, "said"});
}

TEST_CASE_FIXTURE(LeakChecked, "a worker killed while there is no supervisor is noticed, and the next is not told of it") {
    Service service;
    Host host(service.socket());
    Context context(host), other(host);
    Record record;
    auto workers = own_processes("berth-worker");
    auto status = host.status().bytes;
    auto worker = static_cast<pid_t>(number_at(status, "/contexts/0/worker_pid"));
    REQUIRE(context.submit("later", later_request(60000, "x"), Record::callback, &record) == 0);
    service.kill();
    ::kill(worker, SIGKILL);
    CHECK(eventually([&] { return record.answered(); }));
    CHECK(record.ret == BERTH_RET_WORKER_DIED);
    CHECK(number_at(record.bytes, "/pid") == worker);
    service.start_again();
    CHECK(eventually([&] { return given_back(service) == 1; }));
    CHECK(column(host, "contexts", "id").size() == 1);
    CHECK(context.close() == BERTH_RET_OK);
    CHECK(other.call("echo", "lives") == Answer{0, "lives"});
}

TEST_CASE_FIXTURE(LeakChecked, "a close while there is no supervisor, and one that is under way over a restart") {
    Service service;
    Host host(service.socket());
    Context alone(host), over(host);
    auto workers = column(host, "contexts", "worker_pid");
    Record later, closed;
    REQUIRE(over.submit("later", later_request(1000, "x"), Record::callback, &later) == 0);
    service.kill();
    CHECK(close_outcome(alone.handle()) == "drained");
    alone.forget();
    REQUIRE(berth_close(over.handle(), Record::callback, &closed) == BERTH_RET_OK);
    over.forget();
    service.start_again();
    CHECK(eventually([&] { return closed.answered(); }));
    CHECK(text_at(closed.bytes, "/outcome") == "drained");
    CHECK(later.bytes == "x");
    CHECK(no_contexts(host));
    for (int64_t worker : workers)
        CHECK(gone_soon(static_cast<pid_t>(worker)));
}

TEST_CASE_FIXTURE(LeakChecked, "a wedged context that came back is killed by the bounds of its close") {
    Manifests manifests;
    manifests.add_test_module("stubborn", "drain_timeout_ms = 50\nteardown_timeout_ms = 3600000\n");
    Service service({.modules = manifests.path(), .by_systemd = false});
    Host host(service.socket());
    Context context(host, "stubborn");
    Record record;
    auto worker = static_cast<pid_t>(*column(host, "contexts", "worker_pid").begin());
    REQUIRE(context.submit("hold", "", Record::callback, &record) == 0);
    restart(service, 1);
    CHECK(close_outcome(context.handle()) == "killed");
    context.forget();
    CHECK(record.ret == BERTH_RET_RECYCLED);
    CHECK(gone_soon(worker));
    CHECK(no_contexts(host));
}

TEST_CASE_FIXTURE(LeakChecked, "what came back counts against max_contexts") {
    Manifests manifests;
    manifests.add_echo("max_contexts = 2\n");
    Service service({.modules = manifests.path(), .by_systemd = false});
    Host host(service.socket());
    Context one(host);
    auto two = std::make_unique<Context>(host);
    restart(service, 2);
    Answer refused = open_answer(host, "echo", "", nullptr, {.timeout_ms = 3000}); // longer than it waits for returns
    CHECK(refused.ret == BERTH_RET_EXHAUSTED);
    CHECK_MESSAGE(refused.bytes.find("has its 2 contexts in use") != std::string::npos, refused.bytes);
    two.reset();
    CHECK(Context(host).call("echo", "room") == Answer{0, "room"});
}

TEST_CASE_FIXTURE(LeakChecked, "an open right after the restart does not take the place of what is about to come back") {
    Manifests manifests;
    manifests.add_echo("max_contexts = 1\n");
    Service service({.modules = manifests.path(), .by_systemd = false});
    HostProcess halted(service.socket());
    ::kill(halted.pid(), SIGSTOP);
    service.kill();
    service.start_again();
    Host host(service.socket());
    CHECK(open_answer(host, "echo", "", nullptr, {.timeout_ms = 3000}).ret == BERTH_RET_EXHAUSTED);
    CHECK(column(host, "contexts", "id").size() == 1);
    halted.kill();
    CHECK(Context(host).call("echo", "room") == Answer{0, "room"});
}

TEST_CASE_FIXTURE(LeakChecked, "a host that dies is recycled by a supervisor that it came back to, or died without") {
    Service service;
    Host watcher(service.socket());
    HostProcess back(service.socket()), away(service.socket());
    auto workers = column(watcher, "contexts", "worker_pid");
    CHECK(workers.size() == 2);
    restart(service, 2);
    back.kill();
    CHECK(eventually([&] { return column(watcher, "contexts", "id").size() == 1; }));
    service.kill();
    away.kill();
    for (int64_t worker : workers)
        CHECK(gone_soon(static_cast<pid_t>(worker)));
    service.start_again();
    CHECK(no_contexts(watcher));
}

TEST_CASE_FIXTURE(LeakChecked, "SIGTERM takes back what came back") {
    Service service;
    Host host(service.socket());
    Context context(host);
    auto workers = own_processes("berth-worker");
    restart(service, 1);
    service.stop();
    for (pid_t worker : workers)
        CHECK(gone_soon(worker));
}

TEST_CASE_FIXTURE(LeakChecked, "twenty restarts in a row cost neither side anything") {
    Manifests manifests;
    manifests.add_echo("spares = 1\n");
    Service service({.modules = manifests.path(), .by_systemd = false});
    Host host(service.socket());
    Context one(host), two(host);
    restart(service, 2);
    auto fds_of = [](pid_t pid) { return Holdings::fds_of(pid).size(); };
    auto held = [&] {
        std::vector<size_t> counts{Holdings::now().fds.size(), Holdings::now().threads.size(),
                                   own_processes("berth-worker").size(), fds_of(service.pid())};
        for (int64_t worker : column(host, "contexts", "worker_pid"))
            counts.push_back(fds_of(static_cast<pid_t>(worker)));
        return counts;
    };
    // Two that came back and the spare that each supervisor starts.
    REQUIRE(eventually([&] { return own_processes("berth-worker").size() == 3 && held().size() == 6; }));
    Caller caller(one);
    auto before = held();
    CHECK(eventually([&] { // a spare that has just come is still busy
        sleep_ms(100);
        return std::exchange(before, held()) == before;
    }));
    for (int round = 0; round < 20; round++) {
        restart(service, 2);
        CHECK(two.call("echo", "on") == Answer{0, "on"});
    }
    std::vector<size_t> after;
    CHECK(eventually([&] { return (after = held()) == before; }));
    for (size_t i = 0; i < before.size() && i < after.size(); i++) {
        CAPTURE(i);
        CHECK(after[i] == before[i]);
    }
}
