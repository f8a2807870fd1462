// What a module calls of its own runs on the library thread, in turn with what hosts ask for, and is answered exactly
// once; a call that would wait for itself gets the re-entrancy error.
#include <cstdio>
#include <doctest/doctest.h>
#include <thread>

#include "cbor_text.h"
#include "control.h"
#include "host.h"
#include "leak_check.h"
#include "manifests.h"
#include "status.h"

using namespace berth::test;

namespace {

const std::string kReentrant = std::string("1 1 1 ") + BERTH_TEXT_REENTRANT;
const std::string kNotAccepting = BERTH_TEXT_NOT_ACCEPTING;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kStorm = 1000;
#else
constexpr int kStorm = 10000;
#endif

// So that the next context asks the same worker what became of the last one's calls.
const std::string kOneWorker = "max_contexts = 1\n";
const std::string kHasty = kOneWorker + "drain_timeout_ms = 200\n"; // for the tests that sit it out

struct Caller : LeakChecked {
    Manifests manifests;
    Caller() {
        manifests.add_test_module("caller", kOneWorker);
        manifests.add("hasty", needed_variable("BERTH_TEST_MODULES") + "/libberth-caller.so", kHasty);
        manifests.add_test_module("deaf-caller", kHasty);
    }
};

Answer close_of(Context &context) {
    Record closed;
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return closed.answered(); }));
    context.forget();
    return {closed.ret, text_at(closed.bytes, "/outcome")};
}

struct Tally {
    int accepted = -1, refused = -1, ok = -1, err = -1, recycled = -1, other = -1;
    std::string last; // the text of the last that was not OK
};

Tally tally(const Context &context) {
    Tally out;
    int text = 0;
    Answer answer = context.call("tally", "");
    CHECK(std::sscanf(answer.bytes.c_str(), "accepted %d refused %d: 0 %d, 1 %d, 11 %d, else %d; %n", &out.accepted,
                      &out.refused, &out.ok, &out.err, &out.recycled, &out.other, &text) == 6);
    out.last = answer.bytes.substr(static_cast<size_t>(text));
    return out;
}

// Calls `method` so often, closes, and asks the next context of the same worker what came of it.
Tally after_close(const Host &host, const std::string &module, const std::string &calls, const char *outcome) {
    Context first(host, module);
    pid_t worker = host.worker();
    CHECK(first.call("start", calls).bytes == "started");
    CHECK(close_of(first) == Answer{BERTH_RET_OK, outcome});
    Context second(host, module);
    REQUIRE(host.worker() == worker);
    return tally(second);
}

} // namespace

TEST_CASE_FIXTURE(Caller, "a module's thread runs a method on the library thread and gets its answer") {
    Host host(Host::Private::FromFolder, manifests.path());
    Context context(host, "caller");
    CHECK(context.call("where", "") == Answer{0, "on the library thread"});
    CHECK(context.call("via", "where") == Answer{0, "0 on the library thread"});
    CHECK(context.call("via", "echo some bytes") == Answer{0, "0 some bytes"});
    CHECK(context.call("via", "echo") == Answer{0, "0 "});
    CHECK(context.call("via", "later from another thread") == Answer{0, "0 from another thread"});
    std::string large(3 << 20, 'x');
    CHECK(context.call("via", "echo " + large).bytes == "0 " + large);
    CHECK(context.call("via", "big") == Answer{0, "9 the answer is larger than 16 MiB"});
    sleep_ms(50); // both sleep
    CHECK(context.call("via", "echo after a sleep") == Answer{0, "0 after a sleep"});
}

TEST_CASE_FIXTURE(Caller, "an idle library thread wakes for a module's call") {
    Host host(Host::Private::FromFolder, manifests.path());
    Context context(host, "caller");
    for (int i = 0; i < 200; i++) {
        Answer answer = context.call("via", "later " + std::to_string(i)); // the host's thread sleeps meanwhile
        REQUIRE(answer.bytes == "0 " + std::to_string(i));
        if (i % 20 == 0)
            sleep_ms(2);
    }
}

TEST_CASE_FIXTURE(Caller, "a call from the library thread gets the re-entrancy error, and its handler goes on") {
    Host host(Host::Private::FromFolder, manifests.path());
    {
        Context context(host, "caller");
        CHECK(context.call("within", "echo") == Answer{0, kReentrant});
        CHECK(context.call("within", "nonesuch") == Answer{0, kReentrant});
        CHECK(context.call("via", "within") == Answer{0, "0 " + kReentrant}); // within a call of the module's own
        CHECK(context.call("chain", "echo") == Answer{0, kReentrant});        // in a `done` on the library thread
        CHECK(context.call("chain", "later") == Answer{0, "0 called again"}); // in one on another
        CHECK(context.call("echo", "and on") == Answer{0, "and on"});
        CHECK(close_of(context) == Answer{BERTH_RET_OK, "drained"});
    }
    Context next(host, "caller");
    CHECK(next.call("places", "").bytes.find("create: " + kReentrant + "; destroy: " + kReentrant) == 0);
}

TEST_CASE_FIXTURE(Caller, "a module's call of a method that there is not gets the hosts' text") {
    Host host(Host::Private::FromFolder, manifests.path());
    Context context(host, "caller");
    std::string id = std::to_string(method_id("nonesuch"));
    CHECK(context.call("via", "nonesuch") == Answer{0, "1 " BERTH_TEXT_NOT_IMPLEMENTED + id});
}

TEST_CASE_FIXTURE(Caller, "a second answer to a module's call is dropped, and its progress left out") {
    Host host(Host::Private::FromFolder, manifests.path());
    Context context(host, "caller");
    CHECK(context.call("via", "twice") == Answer{0, "0 first"});
    CHECK(context.call("via", "progress") == Answer{0, "0 1 -1"});
    std::string places = context.call("places", "").bytes;
    CHECK(places.substr(places.rfind("; twice")) == "; twice: 0 -1");
}

TEST_CASE_FIXTURE(Caller, "no more than 1,024 of a module's calls are in flight") {
    Host host(Host::Private::FromFolder, manifests.path());
    Context context(host, "hasty");
    CHECK(context.call("start", "hold 1100").bytes == "started");
    Tally seen = tally(context);
    CHECK(seen.accepted == 1024);
    CHECK(seen.refused == 76);
    CHECK(seen.err == 76);
    CHECK(seen.last == "1024 calls of the module's own are in flight");
    CHECK(close_of(context) == Answer{BERTH_RET_OK, "cancelled"});
    Context next(host, "hasty");
    seen = tally(next);
    CHECK(seen.recycled == 1024);
    CHECK(seen.ok + seen.err + seen.other == 0);
    CHECK(next.call("via", "echo room again") == Answer{0, "0 room again"});
}

TEST_CASE_FIXTURE(Caller, "a close drains, cancels and cuts off a module's calls, each with one answer") {
    Host host(Host::Private::FromFolder, manifests.path());
    Tally seen = after_close(host, "caller", "later 50", "drained");
    CHECK(seen.ok == 50);
    CHECK(seen.err + seen.recycled + seen.other == 0);

    seen = after_close(host, "hasty", "hold 50", "cancelled"); // by the module's hook
    CHECK(seen.recycled == 50);
    CHECK(seen.ok + seen.err + seen.other == 0);
    CHECK(seen.last == BERTH_TEXT_CUT_OFF);

    seen = after_close(host, "deaf-caller", "hold 50", "cancelled"); // without one
    CHECK(seen.recycled == 50);
    CHECK(seen.ok + seen.err + seen.other == 0);
    CHECK(seen.last == BERTH_TEXT_CUT_OFF);

    seen = after_close(host, "deaf-caller", "nap 5", "cancelled"); // not all have begun when the drain is over
    CHECK(seen.ok >= 1);
    CHECK(seen.recycled >= 1);
    CHECK(seen.ok + seen.recycled == 5);
}

TEST_CASE_FIXTURE(Caller, "a thread that calls through a close is refused, and has an answer for each call") {
    Host host(Host::Private::FromFolder, manifests.path());
    for (int round = 0; round < 20; round++) {
        CAPTURE(round);
        Context context(host, "caller");
        pid_t worker = host.worker();
        CHECK(context.call("hammer", "").ret == 0);
        sleep_ms(round % 4);
        CHECK(close_of(context) == Answer{BERTH_RET_OK, "drained"});
        Context next(host, "caller");
        REQUIRE(host.worker() == worker);
        Tally seen = tally(next);
        CHECK(seen.ok == seen.accepted);
        CHECK(seen.err == seen.refused);
        CHECK(seen.recycled + seen.other == 0);
        CHECK(seen.last == kNotAccepting);
    }
}

TEST_CASE_FIXTURE(Caller, "many threads of a module and of a host call at once, and none is lost or doubled") {
    Host host(Host::Private::FromFolder, manifests.path());
    Context context(host, "caller");
    Record storm;
    REQUIRE(context.submit("storm", "4 " + std::to_string(kStorm), Record::callback, &storm) == BERTH_RET_OK);
    std::atomic<int> wrong{0}, calls{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; t++)
        threads.emplace_back([&, t] {
            for (int i = 0; !storm.answered() || i < 100; i++, calls++) {
                std::string text = "thread " + std::to_string(t) + " call " + std::to_string(i);
                wrong += context.call("echo", text) != Answer{0, text};
            }
        });
    for (auto &thread : threads)
        thread.join();
    CHECK(wrong == 0);
    CHECK(calls >= 300);
    CHECK(storm.terminal == 1);
    CHECK(storm.bytes == "0 wrong");
    CHECK(close_of(context) == Answer{BERTH_RET_OK, "drained"});
}
