extern "C" {
#include "delivery/liveness.h"
}

#include <doctest/doctest.h>
#include <string>

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

struct Judge {
    liveness state{};
    liveness_look look{.now_ns = 100 * kSecond, .head = 640, .tail = 640, .turns = 8, .owed = 1, .stopped = 0};
    std::string cause;
    uint64_t ms = 0;

    liveness_verdict after(uint64_t ns) {
        const char *text = nullptr;
        look.now_ns += ns;
        auto verdict = liveness_judge(&state, &look, &text, &ms);
        cause = verdict == LIVENESS_NOT_RESPONDING ? text : "";
        return verdict;
    }
};

} // namespace

TEST_CASE("a handler that lasts a second is told once, and its end once") {
    Judge judge;
    judge.look.turns = 9;
    CHECK(judge.after(0) == LIVENESS_NOTHING);
    CHECK(judge.after(kSecond / 2) == LIVENESS_NOTHING);
    CHECK(judge.after(kSecond / 2) == LIVENESS_NOT_RESPONDING);
    CHECK(judge.cause == "handler");
    CHECK(judge.ms == 1000);
    for (int i = 0; i < 100; i++)
        CHECK(judge.after(kSecond) == LIVENESS_NOTHING);
    judge.look.turns = 10;
    CHECK(judge.after(kSecond) == LIVENESS_RESPONDING);
    CHECK(judge.ms == 102000);
    CHECK(judge.after(kSecond) == LIVENESS_NOTHING);
}

TEST_CASE("unread requests outside any handler are a queue that is not read") {
    Judge judge;
    judge.look.tail += 64;
    CHECK(judge.after(0) == LIVENESS_NOTHING);
    CHECK(judge.after(2 * kSecond) == LIVENESS_NOT_RESPONDING);
    CHECK(judge.cause == "queue");
    judge.look.head += 64;
    judge.look.owed = 0;
    CHECK(judge.after(kSecond) == LIVENESS_RESPONDING);
}

TEST_CASE("a stopped process is called that, whatever it was doing") {
    for (uint64_t turns : {8u, 9u}) {
        Judge judge;
        judge.look.turns = turns;
        judge.look.stopped = 1;
        CHECK(judge.after(0) == LIVENESS_NOTHING);
        CHECK(judge.after(kSecond) == LIVENESS_NOT_RESPONDING);
        CHECK(judge.cause == "stopped");
    }
}

TEST_CASE("progress of any kind begins the second anew") {
    Judge judge;
    judge.look.turns = 9;
    judge.look.tail += 6400;
    for (int i = 0; i < 50; i++) {
        CHECK(judge.after(kSecond - 1) == LIVENESS_NOTHING);
        (i % 2 ? judge.look.turns : judge.look.head) += i % 2 ? 2 : 64;
    }
}

TEST_CASE("answers owed by the library's own threads are no silence") {
    Judge judge;
    for (int i = 0; i < 50; i++)
        CHECK(judge.after(kSecond) == LIVENESS_NOTHING);
}

TEST_CASE("a worker that owes nothing is never silent") {
    Judge judge;
    judge.look.owed = 0;
    for (int i = 0; i < 50; i++)
        CHECK(judge.after(kSecond) == LIVENESS_NOTHING);
}

TEST_CASE("within its grace a context is not called silent, and right after it is") {
    Judge judge;
    judge.state.grace_ns = judge.look.now_ns + 10 * kSecond;
    judge.look.turns = 9;
    for (int i = 0; i < 10; i++)
        CHECK(judge.after(i ? kSecond : 0) == LIVENESS_NOTHING);
    CHECK(judge.after(kSecond) == LIVENESS_NOT_RESPONDING);
}

TEST_CASE("only what is stale asks for the process's state") {
    Judge judge;
    CHECK(!liveness_is_stale(&judge.state, &judge.look));
    judge.after(0);
    judge.look.now_ns += kSecond - 1;
    CHECK(!liveness_is_stale(&judge.state, &judge.look));
    judge.look.now_ns++;
    CHECK(liveness_is_stale(&judge.state, &judge.look));
    judge.look.owed = 0;
    CHECK(!liveness_is_stale(&judge.state, &judge.look));
}
