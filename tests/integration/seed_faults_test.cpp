// Faults of the in-process original that berth is to be free of: one test for each.
#include <chrono>
#include <csignal>
#include <doctest/doctest.h>
#include <memory>
#include <thread>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "policy_service.h"

using namespace berth::test;

namespace {

using Clock = std::chrono::steady_clock;

struct Sleeper {
    std::atomic<bool> inside{false}, go{false};
    static void run(int, const uint8_t *, size_t, void *user_data) {
        auto *self = static_cast<Sleeper *>(user_data);
        self->inside = true;
        while (!self->go)
            sleep_ms(1);
    }
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "closing a wedged context blocks nobody: not the closer, not those who send") {
    PolicyService echo("drain_timeout_ms = 400\nteardown_timeout_ms = 1000\n");
    Host host(echo.socket());
    Context context(host, "probe");
    std::atomic<bool> stop{false};
    std::vector<std::thread> senders;
    Record wedge, closed;
    REQUIRE(context.submit("hang", "", Record::callback, &wedge) == BERTH_RET_OK);
    for (int i = 0; i < 3; i++)
        senders.emplace_back([&] {
            while (!stop)
                context.call("say", "x", 5);
        });
    auto start = Clock::now();
    CHECK(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    CHECK(Clock::now() - start < std::chrono::seconds(20)); // the handler never ends
    CHECK(!closed.answered());
    REQUIRE(eventually([&] { return closed.answered(); }));
    stop = true;
    for (auto &sender : senders)
        sender.join();
    CHECK(wedge.terminal == 1);
    CHECK(wedge.ret == BERTH_RET_RECYCLED);
    CHECK(text_at(closed.bytes, "/outcome") == "killed");
    CHECK(number_at(closed.bytes, "/cut_off") >= 1);
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "a close that had to cancel has worked, and says so") {
    PolicyService echo("drain_timeout_ms = 200\n");
    Host host(echo.socket());
    Context context(host);
    Record later, closed;
    REQUIRE(context.submit("later", later_request(600000, "x"), Record::callback, &later) == BERTH_RET_OK);
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return closed.answered(); }));
    CHECK(closed.ret == BERTH_RET_OK);
    CHECK(text_at(closed.bytes, "/outcome") == "cancelled");
    CHECK(number_at(closed.bytes, "/cut_off") == 1);
    CHECK(later.ret == BERTH_RET_RECYCLED);
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "a stuck close gives its place free: the next open has it") {
    PolicyService echo("max_contexts = 1\ndrain_timeout_ms = 200\nteardown_timeout_ms = 500\n");
    Host host(echo.socket());
    for (int round = 0; round < 3; round++) {
        Context context(host, "probe");
        Record wedge;
        REQUIRE(context.submit("hang", "", Record::callback, &wedge) == BERTH_RET_OK);
        CHECK(context.close() == BERTH_RET_OK);
        REQUIRE(eventually([&] { return wedge.answered(); })); // its callback may come after the close
        CHECK(wedge.terminal == 1);
    }
    CHECK(Context(host, "probe").call("say", "free") == Answer{0, "said"});
}

TEST_CASE_FIXTURE(LeakChecked, "late requests and a second close are refused in the original's words") {
    PolicyService echo("drain_timeout_ms = 30000\n");
    Host host(echo.socket());
    Context context(host);
    Record later, closed, second;
    REQUIRE(context.submit("later", later_request(4000, "x"), Record::callback, &later) == BERTH_RET_OK);
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    Answer late = context.call("echo", "late");
    CHECK(late == Answer{BERTH_RET_RECYCLED, "FFI context is not accepting requests (being recycled)"});
    CHECK(berth_close(context.handle(), Record::callback, &second) == BERTH_RET_ERR);
    CHECK(second.ret == BERTH_RET_ERR);
    CHECK(second.bytes == "requestRecycle: context is not Active (already recycling)");
    REQUIRE(eventually([&] { return closed.answered(); }));
    CHECK(later.bytes == "x");
    CHECK(text_at(closed.bytes, "/outcome") == "drained");
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "each owner of a worker is told of its own overflow") {
    PolicyService echo("max_events = 10\n");
    Host host(echo.socket());
    for (int owner = 0; owner < 3; owner++) {
        Context context(host);
        uint64_t ticks, overflow;
        REQUIRE(berth_listen(context.handle(), "tick", nullptr, nullptr, &ticks) == BERTH_RET_OK);
        REQUIRE(berth_listen(context.handle(), "event_overflow", nullptr, nullptr, &overflow) == BERTH_RET_OK);
        Answer emitted = context.call("emit", cbor(R"({"count": 25, "bytes": 8})"));
        CHECK(number_at(emitted.bytes, "/dropped") == 15);
        int64_t told = 0;
        CHECK(eventually([&] {
            berth_completion batch[64];
            int count = berth_reap(context.handle(), batch, 64, 1000);
            for (int i = 0; i < count; i++)
                if (batch[i].id == overflow)
                    told += number_at({reinterpret_cast<const char *>(batch[i].data), batch[i].len}, "/count");
            return told == 15;
        }));
    }
}

TEST_CASE_FIXTURE(LeakChecked, "creates that fail use nothing up, however many") {
    PolicyService echo("max_contexts = 2\n");
    Host host(echo.socket());
    for (int i = 0; i < 100; i++) {
        Answer refused = open_answer(host, "echo", i % 2 ? "\xff not CBOR" : cbor(R"({"fail": "no"})"));
        CHECK(refused.ret == BERTH_RET_ERR);
        CHECK(!refused.bytes.empty());
    }
    Context first(host), second(host);
    CHECK(first.call("echo", "1") == Answer{0, "1"});
    CHECK(second.call("echo", "2") == Answer{0, "2"});
}

TEST_CASE_FIXTURE(LeakChecked, "a callback that sleeps delays no other way to an answer") {
    Host host;
    Context context(host);
    Sleeper sleeper;
    REQUIRE(context.submit("echo", "x", Sleeper::run, &sleeper) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return sleeper.inside.load(); }));
    for (int i = 0; i < 100; i++)
        CHECK(context.call("echo", "blocking") == Answer{0, "blocking"});
    Record reaped;
    REQUIRE(context.submit("echo", "reaped", nullptr, &reaped) == BERTH_RET_OK);
    CHECK(eventually([&] { return reap_into_records(context.handle(), 100) >= 0 && reaped.answered(); }));
    CHECK(reaped.bytes == "reaped");
    sleeper.go = true;
}

TEST_CASE_FIXTURE(LeakChecked, "a handle that is over reaches nobody, least of all the next owner of its worker") {
    Host host;
    auto first = std::make_unique<Context>(host);
    berth_context stale = first->handle();
    first.reset();
    for (int i = 0; i < 20; i++) {
        Context next(host);
        berth_reply reply;
        CHECK(berth_call(stale, method_id("echo"), "x", 1, 1000, &reply) == BERTH_RET_INVALID_CTX);
        berth_reply_free(&reply);
        CHECK(berth_close(stale, nullptr, nullptr) == BERTH_RET_INVALID_CTX);
        CHECK(berth_listen(stale, "tick", nullptr, nullptr, nullptr) == BERTH_RET_INVALID_CTX);
        CHECK(next.call("echo", "undisturbed") == Answer{0, "undisturbed"});
    }
}

TEST_CASE_FIXTURE(LeakChecked, "disconnecting with a thousand requests under way ends each of them, and the processes") {
    auto host = std::make_unique<Host>();
    std::vector<std::unique_ptr<Record>> records;
    auto context = std::make_unique<Context>(*host);
    for (int i = 0; i < 1000; i++) {
        records.push_back(std::make_unique<Record>());
        REQUIRE(context->submit("later", later_request(600000, "x"), Record::callback, records.back().get()) ==
                BERTH_RET_OK);
    }
    context->forget();
    host.reset();
    for (auto &record : records)
        CHECK(record->terminal == 1);
    CHECK(own_processes().empty());
}
