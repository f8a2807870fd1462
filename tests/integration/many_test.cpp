// Two hundred contexts at once, and what idle ones cost.
#include <doctest/doctest.h>
#include <memory>
#include <thread>

#include "context_switches.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

TEST_CASE_FIXTURE(LeakChecked, "two hundred contexts at once, each answering") {
    Host host;
    std::vector<std::unique_ptr<Context>> contexts(200);
    std::vector<std::thread> threads;
    std::atomic<int> failed{0};
    for (size_t thread = 0; thread < 4; thread++)
        threads.emplace_back([&, thread] {
            for (size_t i = thread; i < contexts.size(); i += 4) {
                try {
                    contexts[i] = std::make_unique<Context>(host);
                } catch (...) {
                    failed++;
                }
            }
        });
    for (auto &thread : threads)
        thread.join();
    REQUIRE(failed == 0);
    std::vector<std::unique_ptr<Record>> records;
    for (auto &context : contexts) {
        records.push_back(std::make_unique<Record>());
        CHECK(context->submit("echo", "number " + std::to_string(records.size()), Record::callback,
                              records.back().get()) == 0);
    }
    for (size_t i = 0; i < records.size(); i++) {
        CHECK(eventually([&] { return records[i]->answered(); }));
        CHECK(records[i]->bytes == "number " + std::to_string(i + 1));
        CHECK(contexts[i]->call("echo", "again") == Answer{0, "again"});
    }
    CHECK(own_processes("berth-worker").size() >= 200);
    for (auto &context : contexts)
        CHECK(context->close() == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "idle contexts wake nobody for ten seconds") {
#if defined(__SANITIZE_THREAD__)
    MESSAGE("not under ThreadSanitizer, which has a thread of its own that wakes");
    return;
#endif
    Host host;
    std::vector<std::unique_ptr<Context>> contexts;
    for (int i = 0; i < 20; i++) {
        contexts.push_back(std::make_unique<Context>(host));
        Record record;
        CHECK(contexts.back()->submit("echo", "x", Record::callback, &record) == 0);
        CHECK(eventually([&] { return record.answered(); }));
    }
    std::string woke = quiet_for_ten_seconds(own_processes());
    CHECK_MESSAGE(woke.empty(), woke);
}

TEST_CASE_FIXTURE(LeakChecked, "ten hosts in one process, each with its own private supervisor") {
    std::vector<std::unique_ptr<Host>> hosts;
    std::vector<std::unique_ptr<Context>> contexts;
    for (int i = 0; i < 10; i++) {
        hosts.push_back(std::make_unique<Host>());
        contexts.push_back(std::make_unique<Context>(*hosts.back()));
    }
    for (auto &context : contexts)
        CHECK(context->call("echo", "x") == Answer{0, "x"});
    // A child on its way to become a worker has still its supervisor's name.
    CHECK(eventually([] { return own_processes("berthd").size() == 10; }));
}
