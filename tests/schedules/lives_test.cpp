// Contexts and clients that begin or end while a thread stands still in one of them.
#include <csignal>
#include <doctest/doctest.h>
#include <memory>
#include <thread>

#include "cbor_text.h"
#include "held_point.h"
#include "host.h"
#include "leak_check.h"
#include "service.h"

using namespace berth::test;

namespace {

struct Opening {
    berth_context out{0};
    std::atomic<int> ret{-1};
    std::atomic<uint64_t> seen{0}; // *out, as the callback found it
    static void done(int ret, const uint8_t *, size_t, void *self) {
        auto &opening = *static_cast<Opening *>(self);
        opening.seen = opening.out.bits;
        opening.ret = ret;
    }
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "the handle of an open that is refused at once is there before its callback runs") {
    Host host;
    HeldPoint held("host.open_sent");
    Opening opening;
    std::thread opens([&] {
        CHECK(berth_open_submit(host.handle(), "no-such-module", nullptr, 0, nullptr, Opening::done, &opening,
                                &opening.out) == BERTH_RET_OK);
    });
    REQUIRE(held.reached_soon());
    CHECK(eventually([&] { return opening.ret >= 0; }));
    CHECK(opening.ret == BERTH_RET_NO_MODULE);
    CHECK(opening.seen != 0);
    held.let_go();
    opens.join();
    CHECK(opening.out.bits == opening.seen); // not written again: the callback may have given its memory back
}

TEST_CASE_FIXTURE(LeakChecked, "a disconnect does not free what a thread in a submit still uses") {
    auto host = std::make_unique<Host>();
    // A ping is due at once, for which the thread goes to what is the client's.
    auto context = std::make_unique<Context>(*host, "echo", "", OpenOptions{.stale_warn_ms = 1});
    HeldPoint held("host.submitted");
    std::thread submits([&] {
        int ret = context->submit("echo", "x", nullptr, nullptr);
        CHECK((ret == BERTH_RET_OK || ret == BERTH_RET_RECYCLED));
    });
    REQUIRE(held.reached_soon());
    context->forget();
    CHECK(berth_disconnect(host->handle()) == BERTH_RET_OK);
    host->forget();
    held.let_go();
    submits.join();
}

TEST_CASE_FIXTURE(LeakChecked, "a disconnect waits for an open that is under way, and closes what comes of it") {
    Service service;
    auto host = std::make_unique<Host>(service.socket());
    HeldPoint held("host.frame_sent"); // of its create: nobody knows of it yet
    std::thread opens([&] {
        berth_context out{0};
        CHECK(open_answer(*host, "echo", "", &out).ret != BERTH_RET_ERR);
    });
    REQUIRE(held.reached_soon());
    std::atomic<bool> over{false};
    std::thread disconnects([&] {
        CHECK(berth_disconnect(host->handle()) == BERTH_RET_OK);
        over = true;
    });
    sleep_ms(50); // for a disconnect that does not wait to be over
    CHECK_FALSE(over);
    held.let_go();
    opens.join();
    disconnects.join();
    host->forget();
    Host other(service.socket());
    CHECK(eventually([&] { return number_at(other.status().bytes, "/contexts/0/id") < 1; }));
}

TEST_CASE_FIXTURE(LeakChecked, "a context comes back although a caller has not fetched what its death answered") {
    Host host;
    Context context(host, "echo", "", {.max_in_flight = 1, .timeout_ms = 30000, .flags = BERTH_RESTART});
    HeldPoint held("host.answer_mine");
    std::thread waits([&] { CHECK(context.call("later", later_request(60000, "x"), -1).ret == 10); });
    CHECK(eventually([&] { return number_at(host.status().bytes, "/contexts/0/in_flight") == 1; }));
    ::kill(host.worker(), SIGKILL);
    REQUIRE(held.reached_soon());
    CHECK(eventually([&] { return number_at(host.status().bytes, "/contexts/0/id") > 1; }));
    held.let_go();
    waits.join();
    CHECK(eventually([&] { return context.call("echo", "back", 5000) == Answer{0, "back"}; }));
}

TEST_CASE_FIXTURE(LeakChecked, "an open that lost the CPU while the supervisor was replaced names no context to the new one") {
    Service service;
    Host host(service.socket());
    { Context closed_quickly(host); } // which the next open would tell of
    HeldPoint held("host.open_begun");
    Answer late;
    std::thread opens([&] {
        berth_context out{0};
        late = open_answer(host, "echo", "", &out);
        CHECK(berth_close(out, nullptr, nullptr) == BERTH_RET_OK);
    });
    REQUIRE(held.reached_soon());
    service.kill();
    service.start_again();
    CHECK(eventually([&] { return host.status().ret == BERTH_RET_OK; }));
    Context first(host), second(host); // with the ids that the earlier supervisor gave
    held.let_go();
    opens.join();
    CHECK(late.ret == BERTH_RET_OK);
    CHECK(first.call("echo", "undisturbed") == Answer{0, "undisturbed"});
    CHECK(second.call("echo", "undisturbed") == Answer{0, "undisturbed"});
    CHECK(host.status().ret == BERTH_RET_OK);
}
