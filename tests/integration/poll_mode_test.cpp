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
