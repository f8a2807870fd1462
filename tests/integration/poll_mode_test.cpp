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
    CHECK(reap(BERTH_LOOK) == 1);
    REQUIRE(submit() == BERTH_RET_OK);
    CHECK_FALSE(readable(200)); // it is there: berth_reap finds it, whatever the descriptor says
    CHECK(reap(0) == 1);
    REQUIRE(submit() == BERTH_RET_OK);
    CHECK(readable(5000));
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
    CHECK(::poll(&poll, 1, 5000) == 1);
    CHECK(berth_reap(context.handle(), &completion, 1, BERTH_LOOK) == 0);
    CHECK(berth_reap(context.handle(), &completion, 1, 5000) == 1);
    CHECK(completion.kind == BERTH_EVENT);
    context.call("die", cbor(R"({"how": "abort"})"));
    CHECK(berth_reap(context.handle(), &completion, 1, BERTH_LOOK) == 0);
    CHECK(eventually([&] { return berth_reap(context.handle(), &completion, 1, 0) == -BERTH_RET_WORKER_DIED; }));
}
