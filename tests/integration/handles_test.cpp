// Handles: stale and made-up ones, close races, cycles, disconnect.
#include <cstring>
#include <doctest/doctest.h>
#include <memory>
#include <thread>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

namespace {

// Every entry that takes a context, on one that cannot be.
void check_all_refuse(berth_context context, int expected) {
    berth_reply reply;
    berth_completion completion;
    uint32_t method;
    uint64_t id;
    CHECK(berth_call(context, 1, "x", 1, 1000, &reply) == expected);
    CHECK(reply.ret == expected);
    CHECK(reply.len > 0);
    berth_reply_free(&reply);
    CHECK(berth_submit(context, 1, "x", 1, nullptr, nullptr, &id) == expected);
    CHECK(berth_try_call(context, 1, "x", 1, 1000, nullptr, &id, &reply) == expected);
    CHECK(reply.len > 0);
    berth_reply_free(&reply);
    CHECK(berth_cancel(context, 1) == expected);
    CHECK(berth_method(context, "echo", &method) == expected);
    CHECK(berth_listen(context, "tick", nullptr, nullptr, &id) == expected);
    CHECK(berth_unlisten(context, 1) == expected);
    CHECK(berth_reap(context, &completion, 1, 0) == -expected);
    CHECK(berth_poll_fd(context) == -expected);
    CHECK(berth_close(context, nullptr, nullptr) == expected);
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "made-up handles are INVALID_CTX everywhere") {
    Host host;
    for (uint64_t bits : {uint64_t(0), uint64_t(1), ~uint64_t(0), uint64_t(0xffffffff), uint64_t(7) << 32 | 1})
        check_all_refuse({bits}, BERTH_RET_INVALID_CTX);
    for (uint64_t bits : {uint64_t(0), ~uint64_t(0), uint64_t(0x1234567800000001)}) {
        berth_reply reply;
        berth_context out;
        CHECK(berth_status({bits}, &reply) == BERTH_RET_INVALID_CTX);
        berth_reply_free(&reply);
        CHECK(berth_open({bits}, "echo", nullptr, 0, nullptr, &out, &reply) == BERTH_RET_INVALID_CTX);
        berth_reply_free(&reply);
        CHECK(berth_disconnect({bits}) == BERTH_RET_INVALID_CTX);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a handle is INVALID_CTX after its close, also when its slot is used again") {
    Host host;
    berth_context old;
    {
        Context context(host);
        old = context.handle();
        CHECK(context.close() == BERTH_RET_OK);
    }
    check_all_refuse(old, BERTH_RET_INVALID_CTX);
    Context next(host);
    CHECK(next.handle().bits != old.bits);
    check_all_refuse(old, BERTH_RET_INVALID_CTX);
    CHECK(next.call("echo", "alive") == Answer{0, "alive"});
}

TEST_CASE_FIXTURE(LeakChecked, "the handle after one that is about to end is nobody's") {
    auto host = std::make_unique<Host>();
    berth_client client = host->handle();
    Record later;
    Context context(*host);
    REQUIRE(context.submit("later", later_request(1500, "x"), Record::callback, &later) == BERTH_RET_OK);
    std::thread disconnecting([&] { host.reset(); });
    berth_reply reply;
    // It has ended, and the disconnect, which waits for the answer, still holds what was behind it.
    auto status = [&](uint64_t bits) {
        int ret = berth_status({bits}, &reply);
        berth_reply_free(&reply);
        return ret;
    };
    CHECK(eventually([&] { return status(client.bits) == BERTH_RET_INVALID_CTX; }));
    int next = status(client.bits + (uint64_t{1} << 32));
    disconnecting.join();
    CHECK(next == BERTH_RET_INVALID_CTX);
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "a second close is refused with its text and the first one is answered once") {
    Host host;
    Context context(host);
    Record block, first, second;
    REQUIRE(context.submit("later", later_request(700, "x"), Record::callback, &block) == BERTH_RET_OK);
    REQUIRE(berth_close(context.handle(), Record::callback, &first) == BERTH_RET_OK);
    int ret = berth_close(context.handle(), Record::callback, &second);
    CHECK(eventually([&] { return first.answered() && block.answered(); }));
    if (ret == BERTH_RET_ERR) {
        CHECK(second.terminal == 1);
        CHECK(second.bytes == "requestRecycle: context is not Active (already recycling)");
    } else {
        CHECK(ret == BERTH_RET_INVALID_CTX);
    }
    CHECK(first.terminal == 1);
    CHECK(first.ret == BERTH_RET_OK);
    CHECK(json(first.bytes).find("outcome") != std::string::npos);
    CHECK(block.terminal == 1);
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "a request after close is refused with RECYCLED and its text") {
    Host host;
    Context context(host);
    Record block, closed;
    REQUIRE(context.submit("block", cbor(R"({"ms": 700})"), Record::callback, &block) == BERTH_RET_OK);
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    Answer late = context.call("echo", "late");
    if (late.ret != BERTH_RET_INVALID_CTX) // the close was over already
        CHECK(late == Answer{BERTH_RET_RECYCLED, "FFI context is not accepting requests (being recycled)"});
    CHECK(eventually([&] { return closed.answered() && block.answered(); }));
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "close racing with calls from several threads: each call has exactly one answer") {
    Host host;
    for (int round = 0; round < 30; round++) {
        Context context(host);
        berth_context handle = context.handle();
        std::atomic<int> odd{0};
        std::vector<std::unique_ptr<Record>> accepted;
        for (int i = 0; i < 3000; i++)
            accepted.push_back(std::make_unique<Record>());
        std::atomic<size_t> submitted{0};
        std::vector<std::thread> threads;
        for (int thread = 0; thread < 3; thread++)
            threads.emplace_back([&, thread] {
                for (int i = 0; i < 1000; i++) {
                    size_t at = static_cast<size_t>(thread * 1000 + i);
                    int ret = thread ? context.call("echo", "abc").ret
                                     : context.submit("echo", "abc", Record::callback, accepted[at].get());
                    if (ret == BERTH_RET_INVALID_CTX || ret == BERTH_RET_CLOSED || ret == BERTH_RET_RECYCLED)
                        return;
                    if (thread == 0 && ret == BERTH_RET_OK)
                        submitted = at + 1;
                    odd += ret != BERTH_RET_OK && ret != BERTH_RET_BUSY && ret != BERTH_RET_QUEUE_FULL;
                    if (thread == 0 && ret != BERTH_RET_OK)
                        return;
                }
            });
        sleep_ms(round % 7);
        CHECK(berth_close(handle, nullptr, nullptr) == BERTH_RET_OK);
        context.forget();
        for (auto &thread : threads)
            thread.join();
        CHECK(odd == 0);
        CHECK(eventually([&] {
            for (size_t i = 0; i < submitted; i++)
                if (!accepted[i]->answered())
                    return false;
            return true;
        }));
        for (size_t i = 0; i < submitted; i++) {
            int ret = accepted[i]->ret;
            CHECK(accepted[i]->terminal == 1);
            CHECK((ret == BERTH_RET_OK || ret == BERTH_RET_RECYCLED));
        }
    }
}

TEST_CASE_FIXTURE(LeakChecked, "three hundred open and close cycles leave nothing behind") {
    Host host;
    Context(host).close();
    sleep_ms(200); // what a close leaves to its threads is done
    auto before = Holdings::now();
    int right = 0;
    for (int i = 0; i < 300; i++) {
        Context context(host);
        right += context.call("echo", "cycle") == Answer{0, "cycle"};
        right += context.close() == BERTH_RET_OK;
    }
    CHECK(right == 600);
    auto no_more_than_before = [&] {
        auto now = Holdings::now();
        return now.fds.size() <= before.fds.size() && now.threads.size() <= before.threads.size() &&
               now.segments <= before.segments;
    };
    CHECK(eventually(no_more_than_before));
    CHECK(eventually([&] { return host.workers().size() <= 8; }));
}

TEST_CASE_FIXTURE(LeakChecked, "disconnect closes what is open, and answers what is in flight") {
    auto host = std::make_unique<Host>();
    std::vector<std::unique_ptr<Context>> contexts;
    std::vector<std::unique_ptr<Record>> records;
    for (int i = 0; i < 5; i++) {
        contexts.push_back(std::make_unique<Context>(*host));
        records.push_back(std::make_unique<Record>());
        REQUIRE(contexts.back()->submit("later", later_request(20, "x"), Record::callback, records.back().get()) == 0);
    }
    berth_client client = host->handle();
    host.reset();
    for (auto &record : records)
        CHECK(record->terminal == 1);
    for (auto &context : contexts)
        check_all_refuse(context->handle(), BERTH_RET_INVALID_CTX);
    CHECK(berth_disconnect(client) == BERTH_RET_INVALID_CTX);
}

TEST_CASE_FIXTURE(LeakChecked, "disconnect comes while contexts are on their way out already") {
    for (int round = 0; round < 10; round++) {
        Host host;
        std::vector<std::unique_ptr<Context>> contexts;
        std::vector<std::unique_ptr<Record>> records;
        for (int i = 0; i < 8; i++) {
            contexts.push_back(std::make_unique<Context>(host));
            records.push_back(std::make_unique<Record>());
        }
        for (size_t i = 0; i < contexts.size(); i++) {
            CHECK(berth_close(contexts[i]->handle(), Record::callback, records[i].get()) == BERTH_RET_OK);
            contexts[i]->forget();
        }
        CHECK(berth_disconnect(host.handle()) == BERTH_RET_OK);
        host.forget();
        for (auto &record : records)
            CHECK((record->terminal == 1 && record->ret == BERTH_RET_OK));
    }
}
