// After fork() the child gets FORKED and touches nothing; errno stays what it was.
#include <cerrno>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

namespace {

// In the child: how many calls did not say FORKED.
int refusals_missing(berth_client client, berth_context context) {
    berth_reply reply;
    berth_completion completion;
    berth_context out;
    berth_client other;
    uint32_t method;
    uint64_t id;
    constexpr int kForked = BERTH_RET_FORKED;
    int missing = 0;
    missing += berth_call(context, 1, "", 0, 1000, &reply) != kForked;
    missing += berth_submit(context, 1, "", 0, nullptr, nullptr, &id) != kForked;
    missing += berth_try_call(context, 1, "", 0, 1000, nullptr, &id, &reply) != kForked;
    missing += berth_cancel(context, 1) != kForked;
    missing += berth_method(context, "echo", &method) != kForked;
    missing += berth_listen(context, "tick", nullptr, nullptr, &id) != kForked;
    missing += berth_unlisten(context, 1) != kForked;
    missing += berth_reap(context, &completion, 1, 0) != -kForked;
    missing += berth_poll_fd(context) != -kForked;
    missing += berth_close(context, nullptr, nullptr) != kForked;
    missing += berth_open(client, "echo", nullptr, 0, nullptr, &out, &reply) != kForked;
    missing += berth_open_submit(client, "echo", nullptr, 0, nullptr, Record::callback, nullptr, &out) != kForked;
    missing += berth_call_static(client, "echo", "version", nullptr, 0, 1000, &reply) != kForked;
    missing += berth_status(client, &reply) != kForked;
    missing += berth_disconnect(client) != kForked;
    missing += berth_connect(nullptr, &other) != kForked;
    return missing;
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a forked child gets FORKED from every call, and the parent goes on") {
    Host host;
    Context context(host);
    Record flying;
    REQUIRE(context.submit("later", later_request(300, "parent"), Record::callback, &flying) == 0);
    pid_t child = ::fork();
    if (child == 0)
        ::_exit(refusals_missing(host.handle(), context.handle()));
    int status = -1;
    CHECK(eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
    CHECK(status == 0);
    CHECK(context.call("echo", "on") == Answer{0, "on"});
    CHECK(eventually([&] { return flying.answered(); }));
    CHECK(flying.bytes == "parent");
}

TEST_CASE_FIXTURE(LeakChecked, "no call changes errno") {
    constexpr int kMark = 4711;
    auto unchanged = [&](const char *call) {
        CHECK_MESSAGE(errno == kMark, call);
        errno = kMark;
    };
    berth_options options{sizeof options, BERTH_PRIVATE, nullptr, nullptr, {}};
    berth_client client;
    berth_context context;
    berth_reply reply;
    berth_completion completion;
    uint64_t id;
    uint32_t method;
    Record record, closed;
    errno = kMark;
    REQUIRE(berth_connect(&options, &client) == 0);
    unchanged("connect");
    REQUIRE(berth_open(client, "echo", nullptr, 0, nullptr, &context, &reply) == 0);
    unchanged("open");
    berth_reply_free(&reply);
    unchanged("reply_free");
    berth_method(context, "echo", &method);
    berth_method(context, "nothing", &method);
    unchanged("method");
    berth_call(context, method_id("echo"), "x", 1, 10000, &reply);
    unchanged("call");
    berth_reply_free(&reply);
    std::string request = later_request(60000, "x");
    berth_call(context, method_id("later"), request.data(), request.size(), 30, &reply);
    unchanged("call past its deadline");
    berth_reply_free(&reply);
    berth_submit(context, method_id("echo"), "x", 1, Record::callback, &record, &id);
    unchanged("submit");
    berth_submit(context, method_id("later"), request.data(), request.size(), nullptr, nullptr, &id);
    berth_cancel(context, id);
    unchanged("cancel");
    berth_poll_fd(context);
    unchanged("poll_fd");
    berth_reap(context, &completion, 1, 20);
    berth_reap(context, &completion, 1, 20);
    unchanged("reap");
    berth_listen(context, "tick", Record::callback, &record, &id);
    unchanged("listen");
    berth_unlisten(context, id);
    unchanged("unlisten");
    berth_status(client, &reply);
    unchanged("status");
    berth_reply_free(&reply);
    berth_call_static(client, "echo", "version", nullptr, 0, 10000, &reply);
    unchanged("call_static");
    berth_reply_free(&reply);
    berth_open(client, "no-such-module", nullptr, 0, nullptr, &context, &reply);
    unchanged("refused open");
    berth_reply_free(&reply);
    berth_close({12345}, nullptr, nullptr);
    unchanged("close");
    berth_disconnect(client);
    unchanged("disconnect");
}
