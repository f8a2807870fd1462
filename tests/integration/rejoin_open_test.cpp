// Opens over the death, the absence and the halt of a service.
#include <csignal>
#include <doctest/doctest.h>
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

bool no_contexts(const Host &host) {
    return eventually([&] {
        std::string status = host.status().bytes;
        return number_at(status, "/daemon/pid") > 0 && number_at(status, "/contexts/0/id") < 0;
    });
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "an open without a supervisor waits for the next, and what is queued behind it too") {
    Service service;
    Host host(service.socket());
    service.kill();
    Record done, queued;
    berth_context context{0};
    REQUIRE(berth_open_submit(host.handle(), "echo", nullptr, 0, nullptr, Record::callback, &done, &context) == 0);
    REQUIRE(berth_submit(context, method_id("echo"), "q", 1, Record::callback, &queued, nullptr) == 0);
    sleep_ms(200);
    CHECK(!done.answered());
    service.start_again();
    CHECK(eventually([&] { return queued.answered(); }));
    CHECK(done.ret == BERTH_RET_OK);
    CHECK(queued.bytes == "q");
    CHECK(berth_close(context, nullptr, nullptr) == BERTH_RET_OK);
    CHECK(no_contexts(host));
}

TEST_CASE_FIXTURE(LeakChecked, "an open and a static call without a supervisor say UNAVAILABLE in the end") {
    Service service;
    Host host(service.socket());
    service.kill();
    CHECK(host.status().ret == BERTH_RET_UNAVAILABLE); // by now it knows
    Answer answer = open_answer(host, "echo", "", nullptr, {.timeout_ms = 100});
    CHECK(answer.ret == BERTH_RET_UNAVAILABLE);
    CHECK(answer.bytes == "the supervisor is gone");
    berth_reply reply;
    int called = berth_call_static(host.handle(), "echo", "version", nullptr, 0, 100, &reply);
    CHECK((called == BERTH_RET_TIMEOUT || called == BERTH_RET_UNAVAILABLE)); // a busy machine has it either way
    berth_reply_free(&reply);
    Record done;
    berth_context context{0};
    berth_open_options options{sizeof options, 0, 0, 0, 100, 0, {}};
    REQUIRE(berth_open_submit(host.handle(), "echo", nullptr, 0, &options, Record::callback, &done, &context) == 0);
    CHECK(eventually([&] { return done.answered(); }));
    CHECK(done.ret == BERTH_RET_UNAVAILABLE);
    CHECK(host.status().ret == BERTH_RET_UNAVAILABLE);
    service.start_again();
    CHECK(Context(host).call("echo", "back") == Answer{0, "back"}); // without contexts nobody has knocked since
    CHECK(host.status().ret == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "a context that is closed while it waits for a supervisor") {
    Service service;
    Host host(service.socket());
    service.kill();
    Record done, closed;
    berth_context context{0};
    REQUIRE(berth_open_submit(host.handle(), "echo", nullptr, 0, nullptr, Record::callback, &done, &context) == 0);
    REQUIRE(berth_close(context, Record::callback, &closed) == BERTH_RET_OK);
    service.start_again();
    CHECK(eventually([&] { return closed.answered() && done.answered(); }));
    CHECK(closed.terminal == 1);
    CHECK(done.terminal == 1);
    CHECK(no_contexts(host));
}

TEST_CASE_FIXTURE(LeakChecked, "a service killed and started again while hosts open: one answer each, and no worker astray") {
    Service service;
    Host host(service.socket());
    std::atomic<bool> stop{false};
    std::atomic<int> opened{0}, unavailable{0}, odd{0};
    auto open_all_the_time = [&] {
        while (!stop) {
            berth_context context{0};
            Answer answer = open_answer(host, "echo", "", &context);
            opened += answer.ret == BERTH_RET_OK;
            unavailable += answer.ret == BERTH_RET_UNAVAILABLE;
            bool died = answer.ret == BERTH_RET_WORKER_DIED; // it was idle, and ended with its supervisor
            odd += answer.ret != BERTH_RET_OK && answer.ret != BERTH_RET_UNAVAILABLE && !died;
            if (answer.ret != BERTH_RET_OK)
                continue;
            berth_reply reply;
            int ret = berth_call(context, method_id("echo"), "x", 1, 60000, &reply);
            odd += ret != BERTH_RET_OK && ret != BERTH_RET_WORKER_DIED;
            berth_reply_free(&reply);
            odd += berth_close(context, nullptr, nullptr) != BERTH_RET_OK;
        }
    };
    std::thread one(open_all_the_time), two(open_all_the_time);
    for (int round = 0; round < 15; round++) {
        int before = opened;
        CHECK(eventually([&] { return opened > before + 2; }));
        sleep_ms(round);
        service.kill();
        service.start_again();
    }
    stop = true;
    one.join();
    two.join();
    CHECK(odd == 0);
    MESSAGE(opened.load() << " opens, " << unavailable.load() << " unavailable");
    CHECK(no_contexts(host));
    CHECK(eventually([&] { return own_processes("berth-worker").size() == host.workers().size(); }));
}

TEST_CASE_FIXTURE(LeakChecked, "a service that is stopped costs calls nothing, and an open its deadline") {
    Service service;
    Host host(service.socket());
    Context context(host);
    service.send(SIGSTOP);
    for (int i = 0; i < 1000; i++)
        CHECK(context.call("echo", "on") == Answer{0, "on"});
    CHECK(open_answer(host, "echo", "", nullptr, {.timeout_ms = 100}).ret == BERTH_RET_TIMEOUT);
    service.send(SIGCONT);
    CHECK(Context(host).call("echo", "on") == Answer{0, "on"});
    // The one that was given up found a worker after all, and let it go again.
    CHECK(eventually([&] {
        std::string status = host.status().bytes;
        return number_at(status, "/contexts/0/id") > 0 && number_at(status, "/contexts/1/id") < 0;
    }));
}

TEST_CASE_FIXTURE(LeakChecked, "a service that is killed and comes back stopped: calls go on, and all is well once it runs") {
    Service service;
    Host host(service.socket());
    Context context(host);
    service.kill();
    service.start_again();
    service.send(SIGSTOP);
    for (int i = 0; i < 1000; i++)
        CHECK(context.call("echo", "on") == Answer{0, "on"});
    int ret = open_answer(host, "echo", "", nullptr, {.timeout_ms = 300}).ret;
    CHECK((ret == BERTH_RET_TIMEOUT || ret == BERTH_RET_UNAVAILABLE));
    service.send(SIGCONT);
    CHECK(service.logs(" again\n"));
    CHECK(Context(host).call("echo", "on") == Answer{0, "on"});
}
