// The threads that run callbacks: kept for the contexts to come, and given back like new.
#include <csignal>
#include <doctest/doctest.h>
#include <memory>
#include <pthread.h>
#include <set>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

namespace {

size_t threads_here() { return entries("/proc/self/task"); }

// What the first callback of a context finds.
struct Seen {
    std::atomic<bool> answered{false};
    pid_t thread = 0;
    bool all_blocked = true, faults_open = true;

    static void callback(int, const uint8_t *, size_t, void *user_data) {
        auto &seen = *static_cast<Seen *>(user_data);
        sigset_t mask, one;
        seen.thread = gettid();
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        for (int signal : {SIGINT, SIGUSR1, SIGUSR2, SIGPROF, SIGCHLD})
            seen.all_blocked = seen.all_blocked && sigismember(&mask, signal) == 1;
        for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS})
            seen.faults_open = seen.faults_open && sigismember(&mask, signal) == 0;
        sigemptyset(&one);
        sigaddset(&one, SIGUSR2);
        pthread_sigmask(SIG_UNBLOCK, &one, nullptr); // as a runtime that takes over foreign threads might
        sigemptyset(&one);
        sigaddset(&one, SIGSEGV);
        pthread_sigmask(SIG_BLOCK, &one, nullptr);
        seen.answered = true;
    }
    static void closed(int, const uint8_t *, size_t, void *user_data) {
        *static_cast<std::atomic<bool> *>(user_data) = true;
    }
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "contexts in turn are called back on a thread that is kept, its mask as at first") {
    Host host;
    std::set<pid_t> threads;
    for (int i = 0; i < 30; i++) {
        Context context(host);
        Seen seen;
        std::atomic<bool> closed{false};
        REQUIRE(context.submit("echo", "x", Seen::callback, &seen) == 0);
        REQUIRE(eventually([&] { return seen.answered.load(); }));
        CHECK(seen.all_blocked);
        CHECK(seen.faults_open);
        threads.insert(seen.thread);
        REQUIRE(berth_close(context.handle(), Seen::closed, &closed) == BERTH_RET_OK);
        context.forget();
        REQUIRE(eventually([&] { return closed.load(); }));
    }
    // Thirty without a pool. A thread may still be on its way back when the next context needs one.
    CHECK(threads.size() <= 6);
}

TEST_CASE_FIXTURE(LeakChecked, "of the threads of many contexts two are kept, and none after the disconnect") {
    size_t before = threads_here();
    {
        Host host;
        size_t connected = threads_here();
        std::vector<std::unique_ptr<Context>> contexts;
        for (int i = 0; i < 10; i++) {
            contexts.push_back(std::make_unique<Context>(host));
            Record record;
            CHECK(contexts.back()->submit("echo", "x", Record::callback, &record) == 0);
            CHECK(eventually([&] { return record.answered(); }));
        }
        CHECK(threads_here() == connected + 10);
        contexts.clear();
        CHECK(eventually([&] { return threads_here() == connected + 2; }));
        Context again(host);
        Record record;
        CHECK(again.submit("echo", "x", Record::callback, &record) == 0);
        CHECK(eventually([&] { return record.answered(); }));
        CHECK(threads_here() == connected + 2);
    }
    CHECK(eventually([&] { return threads_here() == before; }));
}

TEST_CASE_FIXTURE(LeakChecked, "a listener on a thread that is kept can remove itself, context after context") {
    Host host;
    struct Listening {
        berth_context context{};
        uint64_t id = 0;
        std::atomic<int> runs{0};
        std::atomic<int> removed{-1};
    };
    for (int i = 0; i < 4; i++) {
        Context context(host);
        Listening listening{context.handle()};
        REQUIRE(berth_listen(
                    context.handle(), "tick",
                    [](int, const uint8_t *, size_t, void *user_data) {
                        auto &here = *static_cast<Listening *>(user_data);
                        here.runs++;
                        // Would wait for itself, if the thread took itself for another.
                        here.removed = berth_unlisten(here.context, here.id);
                    },
                    &listening, &listening.id) == BERTH_RET_OK);
        CHECK(context.call("emit", cbor(R"({"count": 3, "bytes": 8})")).ret == BERTH_RET_OK);
        CHECK(eventually([&] { return listening.removed.load() == BERTH_RET_OK; }));
        CHECK(context.close() == BERTH_RET_OK);
        CHECK(listening.runs.load() == 1);
    }
}
