// Answers under schedules that a busy machine makes and a quiet one does not: a thread stands still where it may lose the
// CPU, and the others go on.
#include <doctest/doctest.h>
#include <thread>

#include "cbor_text.h"
#include "held_point.h"
#include "host.h"
#include "leak_check.h"

using namespace berth::test;

namespace {

constexpr OpenOptions kPinged{.stale_warn_ms = 1};

std::string later(int ms) { return cbor("{\"ms\": " + std::to_string(ms) + ", \"data\": \"x\"}"); }

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a ping that stands still holds up no caller, and none loses its answer") {
    Host host;
    Context context(host, "echo", "", kPinged);
    Record pinged;
    uint64_t id = 0;
    CHECK(context.call("echo", "first", 5000) == Answer{0, "first"}); // after which slot 0 is next, and then 1
    std::thread waits([&] { CHECK(context.call("later", later(500), 5000).ret == BERTH_RET_OK); });
    sleep_ms(20); // the caller's request has the lower slot: a ping that took it for its own would come to it first
    HeldPoint held("host.ping_claimed");
    REQUIRE(context.submit("later", later(60000), Record::callback, &pinged, &id) == BERTH_RET_OK);
    REQUIRE(static_cast<uint32_t>(id) == 1);
    REQUIRE(held.reached_soon());
    for (int i = 0; i < 100; i++)
        REQUIRE(context.call("echo", "there", 5000) == Answer{0, "there"});
    waits.join();
    held.let_go();
    CHECK(berth_cancel(context.handle(), id) == BERTH_RET_OK);
    CHECK(eventually([&] { return pinged.answered(); }));
    CHECK(pinged.terminal == 1);
    CHECK(pinged.pings_after == 0);
    Record closed; // and no slot is taken for one that nobody waits for
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    CHECK(eventually([&] { return closed.answered(); }));
    CHECK(number_at(closed.bytes, "/cut_off") == 0);
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "an answer that meets its deadline stands, or is the timeout: one of them, once") {
    Host host;
    Context context(host);
    HeldPoint held("host.deadline_claimed");
    std::thread gives_up([&] { CHECK(context.call("later", later(60000), 50).ret == BERTH_RET_TIMEOUT); });
    REQUIRE(held.reached_soon());
    std::thread beside([&] { CHECK(context.call("echo", "there", 5000) == Answer{0, "there"}); });
    beside.join();
    held.let_go();
    gives_up.join();
    CHECK(context.call("echo", "after", 5000) == Answer{0, "after"});
}

TEST_CASE_FIXTURE(LeakChecked, "a cancel that stands still does not keep the answer of anybody else") {
    Host host;
    Context context(host);
    Record cancelled;
    uint64_t id = 0;
    REQUIRE(context.submit("later", later(60000), Record::callback, &cancelled, &id) == BERTH_RET_OK);
    HeldPoint held("host.cancel_claimed");
    std::thread cancels([&] { CHECK(berth_cancel(context.handle(), id) == BERTH_RET_OK); });
    REQUIRE(held.reached_soon());
    for (int i = 0; i < 100; i++)
        REQUIRE(context.call("echo", "there", 5000) == Answer{0, "there"});
    held.let_go();
    cancels.join();
    CHECK(eventually([&] { return cancelled.answered(); }));
    CHECK(cancelled.ret == BERTH_RET_CANCELLED);
    CHECK(cancelled.terminal == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "a caller whose answer is copied and not yet said to be there gets it, whole") {
    Host host;
    Context context(host);
    const std::string large(100000, 'y');
    HeldPoint held("host.answer_copied");
    std::thread caller([&] { CHECK(context.call("echo", large) == Answer{0, large}); });
    REQUIRE(held.reached_soon());
    Record beside;
    REQUIRE(context.submit("echo", "z", Record::callback, &beside) == BERTH_RET_OK);
    held.let_go();
    caller.join();
    CHECK(eventually([&] { return beside.answered(); }));
}
