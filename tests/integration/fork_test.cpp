// After fork() the child gets FORKED for what its parent opened, and may connect for itself; errno stays what it was.
#include <cerrno>
#include <doctest/doctest.h>
#include <memory>
#include <thread>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "probe_folder.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

// In the child: how many calls did not say FORKED.
int refusals_missing(berth_client client, berth_context context) {
    berth_reply reply;
    berth_completion completion;
    berth_context out;
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
    return missing;
}

constexpr berth_options kPrivate{sizeof(berth_options), BERTH_PRIVATE, nullptr, nullptr, {}};

struct Own {
    berth_client client{0};
    berth_context context{0};
    int echo() const {
        berth_reply reply;
        int ret = berth_call(context, method_id("echo"), "x", 1, 60000, &reply);
        berth_reply_free(&reply);
        return ret;
    }
};

// In the child: how many steps of a connection of its own went wrong.
int connect_mistakes(Own &own) {
    int wrong = berth_connect(&kPrivate, &own.client) != 0;
    wrong += berth_open(own.client, "echo", nullptr, 0, nullptr, &own.context, nullptr) != 0;
    return wrong + (own.echo() != 0);
}

int disconnect_mistakes(const Own &own) {
    int wrong = berth_disconnect(own.client) != 0;
    wrong += berth_disconnect(own.client) != BERTH_RET_INVALID_CTX;
    return wrong + (own.echo() != BERTH_RET_INVALID_CTX);
}

size_t sockets_of(pid_t pid) {
    size_t count = 0;
    for (const auto &[fd, target] : Holdings::fds_of(pid))
        count += target.rfind("socket:", 0) == 0;
    return count;
}

// ThreadSanitizer lets no child of a process with threads start threads.
#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadsInForks = false;
#else
constexpr bool kThreadsInForks = true;
#endif
#if defined(__SANITIZE_ADDRESS__) // see fork_in_peace
constexpr bool kForksAmongBusyThreads = false;
#else
constexpr bool kForksAmongBusyThreads = kThreadsInForks;
#endif

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a forked child gets FORKED from every call, and the parent goes on") {
    Host host;
    Context context(host);
    Record flying;
    REQUIRE(context.submit("later", later_request(300, "parent"), Record::callback, &flying) == 0);
    CHECK(in_a_fork([&] { return refusals_missing(host.handle(), context.handle()); }) == 0);
    CHECK(context.call("echo", "on") == Answer{0, "on"});
    CHECK(eventually([&] { return flying.answered(); }));
    CHECK(flying.bytes == "parent");
}

TEST_CASE_FIXTURE(LeakChecked, "a forked child connects for itself, and what its parents opened stays FORKED" *
                                   doctest::skip(!kThreadsInForks)) {
    Host host;
    Context context(host);
    int mistakes = in_a_fork([&] {
        Own own, grandchilds;
        int wrong = connect_mistakes(own);
        wrong += refusals_missing(host.handle(), context.handle());
        wrong += in_a_fork([&] {
            int missing = refusals_missing(host.handle(), context.handle()) + refusals_missing(own.client, own.context);
            missing += connect_mistakes(grandchilds);
            missing += refusals_missing(host.handle(), context.handle()) + refusals_missing(own.client, own.context);
            return missing + disconnect_mistakes(grandchilds);
        });
        wrong += own.echo() != 0;
        return wrong + disconnect_mistakes(own) + refusals_missing(host.handle(), context.handle());
    });
    CHECK(mistakes == 0);
    CHECK(context.call("echo", "on") == Answer{0, "on"});
}

TEST_CASE_FIXTURE(LeakChecked, "a child forked while other threads open and close can connect" *
                                   doctest::skip(!kForksAmongBusyThreads)) {
    Host host;
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++)
        threads.emplace_back([&] {
            while (!over) {
                berth_context context{0};
                if (berth_open(host.handle(), "echo", nullptr, 0, nullptr, &context, nullptr) == 0)
                    berth_close(context, nullptr, nullptr);
            }
        });
    for (int i = 0; i < 20; i++)
        CHECK(in_a_fork([] {
                  Own own;
                  return connect_mistakes(own) + disconnect_mistakes(own);
              }) == 0);
    over = true;
    for (auto &thread : threads)
        thread.join();
}

TEST_CASE_FIXTURE(LeakChecked, "a child forked in a callback can connect" * doctest::skip(!kThreadsInForks)) {
    struct Fork {
        std::atomic<int> mistakes{-1};
        static void callback(int, const uint8_t *, size_t, void *user_data) {
            static_cast<Fork *>(user_data)->mistakes = in_a_fork([] {
                Own own;
                return connect_mistakes(own) + disconnect_mistakes(own);
            });
        }
    } fork;
    Host host;
    Context context(host);
    REQUIRE(context.submit("echo", "x", Fork::callback, &fork) == 0);
    CHECK(eventually([&] { return fork.mistakes != -1; }));
    CHECK(fork.mistakes == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "a child that lives on does not keep its parent's connection open") {
    EchoFolder echo("spares = 0\n"); // whose sockets would be counted, too
    Service service({.modules = echo.folder.path()});
    auto host = std::make_unique<Host>(service.socket());
    REQUIRE(host->status().ret == BERTH_RET_OK); // it has come up
    size_t with = sockets_of(service.pid());
    pid_t child = ::fork();
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    host.reset();
    CHECK(eventually([&] { return sockets_of(service.pid()) == with - 1; }));
    kill_child(child);
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
