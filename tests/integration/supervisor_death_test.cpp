// Contexts go on without their supervisor; what needs it says so.
#include <csignal>
#include <doctest/doctest.h>
#include <functional>
#include <memory>
#include <thread>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "manifests.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

// Calls in flight over the kill, and afterwards; then everything ends.
void check_survives(Host &host, const std::function<void()> &kill_supervisor) {
    std::vector<pid_t> workers;
    {
        Context context(host);
        Record by_callback, by_reap;
        std::atomic<int> wrong{0};
        std::atomic<bool> stop{false};
        workers = own_processes("berth-worker");
        std::thread caller([&] {
            while (!stop)
                wrong += context.call("echo", "on") != Answer{0, "on"};
        });
        REQUIRE(context.submit("later", later_request(300, "c"), Record::callback, &by_callback) == 0);
        REQUIRE(context.submit("later", later_request(300, "r"), nullptr, &by_reap) == 0);
        kill_supervisor();
        CHECK(eventually([&] { return reap_into_records(context.handle(), 100) >= 0 && by_reap.answered(); }));
        CHECK(eventually([&] { return by_callback.answered(); }));
        stop = true;
        caller.join();
        CHECK(wrong == 0);
        CHECK(by_callback.bytes == "c");
        CHECK(by_reap.bytes == "r");
        Answer refused = open_answer(host, "echo", "", nullptr, {.timeout_ms = 200});
        CHECK(refused.ret == BERTH_RET_UNAVAILABLE);
        CHECK(refused.bytes != "");
        CHECK(host.status().ret == BERTH_RET_UNAVAILABLE);
        CHECK(context.call("echo", "after") == Answer{0, "after"});
        CHECK(context.close() == BERTH_RET_OK);
    }
    for (pid_t worker : workers)
        CHECK(gone_soon(worker));
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a private supervisor killed with calls in flight") {
    Host host;
    check_survives(host, [&] { ::kill(host.supervisor(), SIGKILL); });
}

TEST_CASE_FIXTURE(LeakChecked, "a service killed with calls in flight") {
    Service service;
    Host host(service.socket());
    check_survives(host, [&] { service.kill(); });
}

TEST_CASE_FIXTURE(LeakChecked, "supervisor and worker killed together: WORKER_DIED, and the host goes on") {
    Service service;
    Host host(service.socket());
    Context context(host);
    Record record;
    REQUIRE(context.submit("later", later_request(60000, "x"), Record::callback, &record) == 0);
    auto workers = own_processes("berth-worker");
    service.kill();
    for (pid_t worker : workers)
        ::kill(worker, SIGKILL);
    CHECK(eventually([&] { return record.answered(); }));
    CHECK(record.ret == BERTH_RET_WORKER_DIED);
    CHECK(record.terminal == 1);
    CHECK(context.close() == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "the death of a worker that has served this host before shows without a supervisor") {
    Manifests manifests;
    manifests.add_echo("spares = 0\n");
    Service service({.modules = manifests.path(), .by_systemd = false});
    Host host(service.socket());
    for (int earlier = 0; earlier < 3; earlier++)
        CHECK(Context(host).call("echo", "earlier") == Answer{0, "earlier"});
    Context context(host); // on the same worker, but where the machine is so slow that another was started
    auto workers = own_processes("berth-worker");
    Record record;
    REQUIRE(context.submit("later", later_request(60000, "x"), Record::callback, &record) == 0);
    service.kill();
    for (pid_t worker : workers)
        ::kill(worker, SIGKILL);
    CHECK(eventually([&] { return record.answered(); }));
    CHECK(record.ret == BERTH_RET_WORKER_DIED);
}

TEST_CASE_FIXTURE(LeakChecked, "a supervisor killed at random moments of opening: each open is answered") {
    for (int round = 0; round < 8; round++) {
        auto host = std::make_unique<Host>();
        pid_t supervisor = host->supervisor();
        std::thread killer([&] {
            sleep_ms(round * 3);
            ::kill(supervisor, SIGKILL);
        });
        for (int ret = BERTH_RET_OK; ret == BERTH_RET_OK;) {
            berth_context context{0};
            Answer answer = open_answer(*host, "echo", "", &context, {.timeout_ms = 20000});
            ret = answer.ret;
            CAPTURE(answer.bytes);
            CHECK((ret == BERTH_RET_OK || ret == BERTH_RET_UNAVAILABLE || ret == BERTH_RET_WORKER_DIED));
            if (ret == BERTH_RET_OK)
                CHECK(berth_close(context, nullptr, nullptr) == BERTH_RET_OK);
        }
        killer.join();
        host.reset();
        CHECK(eventually([] { return own_processes().empty(); }));
    }
}

TEST_CASE_FIXTURE(LeakChecked, "SIGTERM to a service with live contexts: it exits with 0 and all is answered") {
    Service service;
    Host host(service.socket());
    Context first(host), second(host);
    Record later, block;
    REQUIRE(first.submit("later", later_request(200, "x"), Record::callback, &later) == 0);
    REQUIRE(second.submit("block", cbor(R"({"ms": 60000})"), Record::callback, &block) == 0);
    service.stop(); // checks the exit code
    CHECK(eventually([&] { return later.answered() && block.answered(); }));
    CHECK(later.terminal == 1);
    CHECK(block.terminal == 1);
    Answer after = first.call("echo", "");
    CHECK(after.ret != -2);
    CHECK(open_answer(host, "echo", "", nullptr, {.timeout_ms = 200}).ret == BERTH_RET_UNAVAILABLE);
}
