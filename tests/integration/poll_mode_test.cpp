// What a poller of berth_poll_fd relies on.
#include <doctest/doctest.h>
#include <poll.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

TEST_CASE_FIXTURE(LeakChecked, "a listener added while somebody polls: its first event wakes the poller") {
    Host host;
    Context context(host);
    pollfd poll{berth_poll_fd(context.handle()), POLLIN, 0};
    uint64_t listener;
    Record event;
    while (::poll(&poll, 1, 0) == 1)
        reap_into_records(context.handle(), 0);
    REQUIRE(berth_listen(context.handle(), "tick", nullptr, &event, &listener) == BERTH_RET_OK);
    auto reap_what_comes = [&] {
        while (::poll(&poll, 1, 0) == 1)
            reap_into_records(context.handle(), 0);
        return true;
    };
    reap_what_comes();
    REQUIRE(context.call("emit", cbor(R"({"count": 1, "bytes": 4})")).ret == BERTH_RET_OK);
    CHECK(eventually([&] { return reap_what_comes() && event.answered(); }));
}

TEST_CASE_FIXTURE(LeakChecked, "after a look an answer leaves the descriptor alone, until berth_reap is back") {
    Host host;
    Context context(host);
    berth_completion completions[4];
    pollfd poll{berth_poll_fd(context.handle()), POLLIN, 0};
    auto readable = [&](int ms) { return ::poll(&poll, 1, ms) == 1; };
    auto reap = [&](int timeout_ms) { return berth_reap(context.handle(), completions, 4, timeout_ms); };
    auto submit = [&] { return context.submit("echo", "x", nullptr, nullptr); };
    while (readable(0))
        REQUIRE(reap(0) == 0);
    CHECK(reap(BERTH_LOOK) == 0);
    REQUIRE(submit() == BERTH_RET_OK);
    CHECK_FALSE(readable(200));
    CHECK(eventually([&] { return reap(BERTH_LOOK) == 1; }));
    REQUIRE(submit() == BERTH_RET_OK);
    CHECK_FALSE(readable(200)); // it is there: berth_reap finds it, whatever the descriptor says
    CHECK(eventually([&] { return reap(0) == 1; }));
    REQUIRE(submit() == BERTH_RET_OK);
    CHECK(readable(60000));
    CHECK(reap(BERTH_LOOK) == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "a look leaves events and a context's end to berth_reap") {
    Host host;
    Context context(host);
    berth_completion completion;
    uint64_t listener;
    pollfd poll{berth_poll_fd(context.handle()), POLLIN, 0};
    REQUIRE(berth_listen(context.handle(), "tick", nullptr, nullptr, &listener) == BERTH_RET_OK);
    while (::poll(&poll, 1, 0) == 1)
        REQUIRE(berth_reap(context.handle(), &completion, 1, 0) == 0);
    CHECK(berth_reap(context.handle(), &completion, 1, BERTH_LOOK) == 0);
    REQUIRE(context.call("emit", cbor(R"({"count": 1, "bytes": 4})")).ret == BERTH_RET_OK);
    CHECK(::poll(&poll, 1, 60000) == 1);
    CHECK(berth_reap(context.handle(), &completion, 1, BERTH_LOOK) == 0);
    CHECK(berth_reap(context.handle(), &completion, 1, 60000) == 1);
    CHECK(completion.kind == BERTH_EVENT);
    context.call("die", cbor(R"({"how": "abort"})"));
    CHECK(berth_reap(context.handle(), &completion, 1, BERTH_LOOK) == 0);
    CHECK(eventually([&] { return berth_reap(context.handle(), &completion, 1, 0) == -BERTH_RET_WORKER_DIED; }));
}

namespace {

std::string emit(int count, int bytes) {
    return cbor("{\"count\": " + std::to_string(count) + ", \"bytes\": " + std::to_string(bytes) + "}");
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "several listeners of berth_reap share an event, however large, and however small a batch") {
    Host host;
    Context context(host);
    uint64_t listeners[3];
    for (uint64_t &listener : listeners)
        REQUIRE(berth_listen(context.handle(), "tick", nullptr, nullptr, &listener) == BERTH_RET_OK);
    for (size_t capacity : {size_t(1), size_t(2), size_t(64)}) {
        CAPTURE(capacity);
        REQUIRE(context.call("emit", emit(2, 200000)).ret == BERTH_RET_OK);
        std::vector<uint64_t> heard;
        while (heard.size() < 6) {
            berth_completion batch[64];
            int count = berth_reap(context.handle(), batch, capacity, 10000);
            REQUIRE(count > 0);
            for (int i = 0; i < count; i++) {
                CHECK(batch[i].kind == BERTH_EVENT);
                CHECK(batch[i].len == 200000);
                heard.push_back(batch[i].id);
            }
        }
        CHECK(heard == std::vector<uint64_t>{listeners[0], listeners[1], listeners[2], listeners[0], listeners[1],
                                             listeners[2]});
    }
    berth_completion none;
    CHECK(berth_reap(context.handle(), &none, 1, 0) == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "events that nobody listens to take nothing of a batch") {
    Host host;
    Context context(host);
    uint64_t listener;
    REQUIRE(berth_listen(context.handle(), "tock", nullptr, nullptr, &listener) == BERTH_RET_OK);
    REQUIRE(context.call("emit", emit(8, 200000)).ret == BERTH_RET_OK);
    Record answer;
    REQUIRE(context.submit("echo", std::string(100000, 'x'), nullptr, &answer) == BERTH_RET_OK);
    CHECK(eventually([&] { return reap_into_records(context.handle(), 1000) >= 0 && answer.answered(); }));
    CHECK(answer.bytes.size() == 100000);
}

TEST_CASE_FIXTURE(LeakChecked, "a close is not held up by answers that are left unread") {
    Host host;
    Context context(host);
    const std::string large(15u << 20, 'x');
    Record answers[6];
    for (Record &answer : answers)
        REQUIRE(eventually([&] {
            int ret = context.submit("echo", large, nullptr, &answer);
            CHECK((ret == BERTH_RET_OK || ret == BERTH_RET_QUEUE_FULL));
            return ret == BERTH_RET_OK;
        }));
    Record closed;
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    CHECK(eventually([&] { return closed.answered(); }));
    CHECK(text_at(closed.bytes, "/outcome") != "killed"); // at its bound
    while (reap_into_records(context.handle(), 1000) > 0) {
    }
    context.forget();
    for (Record &answer : answers) {
        CHECK(answer.terminal == 1);
        CHECK((answer.ret == BERTH_RET_OK ? answer.bytes.size() == large.size() : answer.ret == BERTH_RET_RECYCLED));
    }
}
