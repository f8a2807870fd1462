// berth_try_call: answered on the spot, or left to berth_reap; one answer either way.
#include <csignal>
#include <doctest/doctest.h>
#include <memory>
#include <thread>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

namespace {

int try_call(const Context &context, const std::string &method, const std::string &data, uint32_t wait_us,
             Record *record, uint64_t *id = nullptr) {
    berth_reply reply;
    int ret = berth_try_call(context.handle(), method_id(method), data.data(), data.size(), wait_us, record, id, &reply);
    CHECK(reply.ret == ret);
    if (ret != BERTH_RET_STALE_WARN && ret != BERTH_RET_BUSY)
        record->note(ret, reply.data, reply.len);
    berth_reply_free(&reply);
    return ret;
}

bool reaped(const Context &context, const Record &record) {
    return eventually([&] { return reap_into_records(context.handle(), 100) >= 0 && record.answered(); });
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "try_call: with time enough the answer comes on the spot") {
    Host host;
    Context context(host);
    berth_poll_fd(context.handle());
    for (int i = 0; i < 1000; i++) {
        Record record;
        CHECK(try_call(context, "echo", "now", 60000000, &record) == BERTH_RET_OK);
        CHECK(record.bytes == "now");
    }
    CHECK(reap_into_records(context.handle(), 0) == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "try_call: what does not come in time is left to berth_reap, with its user_data") {
    Host host;
    Context context(host);
    for (uint32_t wait_us : {0u, 1u, 2000u}) {
        Record record;
        CHECK(try_call(context, "later", later_request(1000, "late"), wait_us, &record) == BERTH_RET_STALE_WARN);
        CHECK(reaped(context, record));
        CHECK(record.ret == BERTH_RET_OK);
        CHECK(record.bytes == "late");
    }
}

TEST_CASE_FIXTURE(LeakChecked, "try_call: a request that was left can be cancelled") {
    Host host;
    Context context(host);
    Record record;
    uint64_t id = 0;
    REQUIRE(try_call(context, "block", cbor(R"({"ms": 60000})"), 1000, &record, &id) == BERTH_RET_STALE_WARN);
    CHECK(berth_cancel(context.handle(), id) == BERTH_RET_OK);
    CHECK(reaped(context, record));
    CHECK(record.ret == BERTH_RET_CANCELLED);
    CHECK(context.call("echo", "goes on") == Answer{0, "goes on"});
}

TEST_CASE_FIXTURE(LeakChecked, "try_call: a request that was left has progress pings") {
    Host host;
    Context context(host, "echo", "", {.stale_warn_ms = 20});
    Record record;
    REQUIRE(try_call(context, "later", later_request(3000, "done"), 100, &record) == BERTH_RET_STALE_WARN);
    CHECK(reaped(context, record));
    CHECK(record.pings > 0);
    CHECK(record.bytes == "done");
}

TEST_CASE_FIXTURE(LeakChecked, "try_call: a worker's death answers a request that was left, and refuses the next") {
    Host host;
    Context context(host);
    Record record, next;
    REQUIRE(try_call(context, "block", cbor(R"({"ms": 60000})"), 0, &record) == BERTH_RET_STALE_WARN);
    int64_t worker = number_at(host.status().bytes, "/contexts/0/worker_pid");
    REQUIRE(worker > 1);
    REQUIRE(::kill(static_cast<pid_t>(worker), SIGKILL) == 0);
    CHECK(reaped(context, record));
    CHECK(number_at(record.bytes, "/signal") == SIGKILL);
    CHECK(try_call(context, "echo", "", 1000, &next) == BERTH_RET_WORKER_DIED);
    CHECK(number_at(next.bytes, "/signal") == SIGKILL);
}

TEST_CASE_FIXTURE(LeakChecked, "try_call: from many threads with little time, one answer for each") {
    Host host;
    Context context(host);
    constexpr int kThreads = 4, kCalls = 400;
    std::vector<std::unique_ptr<Record>> records;
    for (int i = 0; i < kThreads * kCalls; i++)
        records.push_back(std::make_unique<Record>());
    berth_poll_fd(context.handle());
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; thread++)
        threads.emplace_back([&, thread] {
            for (int i = 0; i < kCalls; i++) {
                Record *record = records[static_cast<size_t>(thread * kCalls + i)].get();
                uint32_t wait_us = static_cast<uint32_t>(i % 4 * (1 << (i % 5)));
                while (try_call(context, "echo", std::to_string(i), wait_us, record) == BERTH_RET_BUSY)
                    sleep_ms(1);
            }
        });
    std::thread reaper([&] {
        eventually([&] {
            while (reap_into_records(context.handle(), 1) > 0) {
            }
            for (auto &record : records)
                if (!record->answered())
                    return false;
            return true;
        });
    });
    for (auto &thread : threads)
        thread.join();
    reaper.join();
    int right = 0;
    for (int i = 0; i < kThreads * kCalls; i++) {
        const Record &record = *records[static_cast<size_t>(i)];
        right += record.terminal == 1 && record.ret == BERTH_RET_OK && record.bytes == std::to_string(i % kCalls);
    }
    CHECK(right == kThreads * kCalls);
}

TEST_CASE_FIXTURE(LeakChecked, "try_call: refusals are those of berth_call, and leave nothing to reap") {
    Host host;
    Context context(host, "echo", "", {.max_in_flight = 1});
    Record first, refused;
    REQUIRE(try_call(context, "block", cbor(R"({"ms": 60000})"), 0, &first) == BERTH_RET_STALE_WARN);
    for (uint32_t wait_us : {0u, 1000u})
        CHECK(try_call(context, "echo", "", wait_us, &refused) == BERTH_RET_BUSY);
    berth_reply reply;
    CHECK(berth_try_call(context.handle(), 1, nullptr, 1, 0, nullptr, nullptr, &reply) == BERTH_RET_INVALID_ARGUMENT);
    CHECK(berth_try_call(context.handle(), 1, nullptr, 0, 0, nullptr, nullptr, nullptr) == BERTH_RET_INVALID_ARGUMENT);
    CHECK(berth_try_call({0}, 1, nullptr, 0, 0, nullptr, nullptr, &reply) == BERTH_RET_INVALID_CTX);
    berth_close(context.handle(), nullptr, nullptr);
    CHECK(try_call(context, "echo", "", 1000, &refused) == BERTH_RET_CLOSED);
    CHECK(reaped(context, first));
    CHECK(first.ret != BERTH_RET_OK);
}
