// Every accepted request ends in exactly one terminal answer, whichever way it is waited for.
#include <doctest/doctest.h>
#include <memory>
#include <poll.h>
#include <thread>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

namespace {

using Records = std::vector<std::unique_ptr<Record>>;

Records records(size_t count) {
    Records out(count);
    for (auto &record : out)
        record = std::make_unique<Record>();
    return out;
}

std::string payload_of(int thread, int i) {
    return "request " + std::to_string(thread) + "/" + std::to_string(i) + std::string(static_cast<size_t>(i % 300), '.');
}

bool all_answered(const Records &records) {
    return eventually([&] {
        for (const auto &record : records)
            if (!record->answered())
                return false;
        return true;
    });
}

void check_echoed(const Records &records, int thread) {
    size_t right = 0;
    for (size_t i = 0; i < records.size(); i++)
        right += records[i]->terminal == 1 && records[i]->ret == BERTH_RET_OK &&
                 records[i]->bytes == payload_of(thread, static_cast<int>(i));
    CHECK(right == records.size());
}

void submit_all(const Context &context, Records &records, int thread, berth_callback callback) {
    for (size_t i = 0; i < records.size(); i++) {
        int ret;
        while ((ret = context.submit("echo", payload_of(thread, static_cast<int>(i)), callback, records[i].get())) ==
                   BERTH_RET_BUSY ||
               ret == BERTH_RET_QUEUE_FULL)
            sleep_ms(1);
        if (ret != BERTH_RET_OK)
            records[i]->ret = ret;
    }
}

void reap_by_poll(const Context &context, const Records &records) {
    int fd = berth_poll_fd(context.handle());
    eventually([&] {
        pollfd poll{fd, POLLIN, 0};
        ::poll(&poll, 1, 1000);
        while (reap_into_records(context.handle(), 0) > 0) {
        }
        for (const auto &record : records)
            if (!record->answered())
                return false;
        return true;
    });
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "blocking calls, callbacks and polling at once on one context: one answer each") {
    Host host;
    Context context(host);
    constexpr int kCalls = 500;
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int thread = 0; thread < 4; thread++)
        threads.emplace_back([&, thread] {
            for (int i = 0; i < kCalls; i++)
                right += context.call("echo", payload_of(thread, i)) == Answer{BERTH_RET_OK, payload_of(thread, i)};
        });
    Records by_callback = records(kCalls), by_reap = records(kCalls);
    threads.emplace_back([&] { submit_all(context, by_callback, 10, Record::callback); });
    threads.emplace_back([&] { submit_all(context, by_reap, 11, nullptr); });
    threads.emplace_back([&] { reap_by_poll(context, by_reap); });
    for (auto &thread : threads)
        thread.join();
    CHECK(all_answered(by_callback));
    CHECK(right == 4 * kCalls);
    check_echoed(by_callback, 10);
    check_echoed(by_reap, 11);
    CHECK(context.close() == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "a reaper that sleeps beside blocking callers misses no answer") {
    Host host;
    Context context(host);
    constexpr int kRequests = 1500, kMost = 4;
    std::atomic<bool> over{false};
    std::vector<std::thread> callers;
    for (int thread = 0; thread < 2; thread++)
        callers.emplace_back([&] {
            while (!over)
                context.call("echo", "beside");
        });
    std::vector<Record> reaped(kRequests);
    int sent = 0, answered = 0;
    bool late = false;
    while (answered < kRequests && !late) {
        while (sent < kRequests && sent - answered < kMost)
            sent += context.submit("echo", "reaped", nullptr, &reaped[static_cast<size_t>(sent)]) == BERTH_RET_OK;
        int count = reap_into_records(context.handle(), 60000);
        late = count <= 0;
        answered += late ? 0 : count;
        // The last answer is looked for with nobody else there to find it.
        if (sent == kRequests)
            over = true;
    }
    over = true;
    for (auto &caller : callers)
        caller.join();
    CHECK_FALSE(late);
    CHECK(answered == kRequests);
}

TEST_CASE_FIXTURE(LeakChecked, "a reaper that slept before anybody listened is woken by an event") {
    Host host;
    Context context(host);
    berth_completion batch[4];
    int fd = berth_poll_fd(context.handle());
    auto readable = [&](int timeout_ms) {
        pollfd poll{fd, POLLIN, 0};
        return ::poll(&poll, 1, timeout_ms) == 1;
    };
    CHECK(berth_reap(context.handle(), batch, 4, 0) == 0);
    CHECK_FALSE(readable(0));
    uint64_t listener;
    REQUIRE(berth_listen(context.handle(), "tick", nullptr, nullptr, &listener) == BERTH_RET_OK);
    // Whoever polls takes what there is, and polls again.
    while (readable(0))
        CHECK(berth_reap(context.handle(), batch, 4, 0) == 0);
    CHECK(context.call("emit", std::string("\xa2\x65" "count\x01\x65" "bytes\x04", 15)).ret == BERTH_RET_OK);
    REQUIRE(readable(60000));
    int count = 0;
    CHECK(eventually([&] { return (count = berth_reap(context.handle(), batch, 4, 0)) != 0; }));
    CHECK(count == 1);
    CHECK(batch[0].kind == BERTH_EVENT);
    CHECK(batch[0].id == listener);
}

TEST_CASE_FIXTURE(LeakChecked, "answers come in the order of the requests, for callbacks and for reaping") {
    Host host;
    Context context(host);
    static std::vector<int> order; // the reply thread's until `noted` is 300
    static std::atomic<int> noted;
    order.clear();
    noted = 0;
    std::vector<int> numbers(300);
    auto note = [](int, const uint8_t *, size_t, void *user_data) {
        order.push_back(*static_cast<int *>(user_data));
        noted++;
    };
    for (int i = 0; i < 300; i++) {
        numbers[static_cast<size_t>(i)] = i;
        REQUIRE(context.submit("echo", payload_of(0, i), note, &numbers[static_cast<size_t>(i)]) == BERTH_RET_OK);
    }
    CHECK(context.close() == BERTH_RET_OK);
    REQUIRE(eventually([&] { return noted == 300; }));
    CHECK(order == numbers);
}

TEST_CASE_FIXTURE(LeakChecked, "callbacks may call, submit, listen and cancel on their own context") {
    Host host;
    Context context(host);
    struct Inside {
        Context *context;
        std::atomic<int> ret{-1};
    } inside{&context};
    auto call_again = [](int, const uint8_t *, size_t, void *user_data) {
        auto *self = static_cast<Inside *>(user_data);
        self->ret = self->context->call("echo", "inside") == Answer{0, "inside"} ? 0 : 1;
    };
    REQUIRE(context.submit("echo", "outside", call_again, &inside) == BERTH_RET_OK);
    CHECK(eventually([&] { return inside.ret >= 0; }));
    CHECK(inside.ret == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "progress pings come while a request is in flight, and none after its answer") {
    Host host;
    Context context(host, "echo", "", {.stale_warn_ms = 30});
    Record by_callback, by_reap;
    std::string request = later_request(3000, "done");
    REQUIRE(context.submit("later", request, Record::callback, &by_callback) == BERTH_RET_OK);
    REQUIRE(context.submit("later", request, nullptr, &by_reap) == BERTH_RET_OK);
    CHECK(eventually([&] { return reap_into_records(context.handle(), 100) >= 0 && by_reap.answered(); }));
    CHECK(eventually([&] { return by_callback.answered(); }));
    sleep_ms(200);
    CHECK(reap_into_records(context.handle(), 0) == 0);
    for (Record *record : {&by_callback, &by_reap}) {
        CHECK(record->pings > 0);
        CHECK(record->pings_after == 0);
        CHECK(record->terminal == 1);
        CHECK(record->bytes == "done");
    }
}

TEST_CASE_FIXTURE(LeakChecked, "past max_in_flight a request is BUSY, and what was accepted is answered") {
    Host host;
    Context context(host, "echo", "", {.max_in_flight = 4});
    Records accepted = records(4);
    for (auto &record : accepted)
        REQUIRE(context.submit("later", later_request(4000, "x"), Record::callback, record.get()) == BERTH_RET_OK);
    Record refused;
    CHECK(context.submit("echo", "", Record::callback, &refused) == BERTH_RET_BUSY);
    CHECK(context.call("echo", "").ret == BERTH_RET_BUSY);
    CHECK(all_answered(accepted));
    CHECK(refused.terminal == 0);
    CHECK(context.call("echo", "again") == Answer{0, "again"});
}

TEST_CASE_FIXTURE(LeakChecked, "a full request ring is QUEUE_FULL, and what was accepted is answered whole") {
    Host host;
    Context context(host);
    Record block;
    REQUIRE(context.submit("block", cbor(R"({"ms": 2000})"), Record::callback, &block) == BERTH_RET_OK);
    std::string large(size_t(16) << 20, 'L');
    Records accepted = records(64);
    size_t count = 0;
    int ret = BERTH_RET_OK;
    while (count < accepted.size() &&
           (ret = context.submit("echo", large, Record::callback, accepted[count].get())) == BERTH_RET_OK)
        count++;
    CHECK(ret == BERTH_RET_QUEUE_FULL);
    CHECK(count > 0);
    accepted.resize(count);
    CHECK(all_answered(accepted));
    for (auto &record : accepted)
        CHECK(record->bytes == large);
    CHECK(context.call("echo", "after") == Answer{0, "after"});
}

TEST_CASE_FIXTURE(LeakChecked, "a blocked library leaves room for a thousand requests of a few KiB") {
    Host host;
    Context context(host);
    std::string few(4000, 'f');
    for (int i = 0; i < 10; i++) // the ring is somewhere in its first lap
        CHECK(context.call("echo", few).ret == BERTH_RET_OK);
    Record block;
    REQUIRE(context.submit("block", cbor(R"({"ms": 1000})"), Record::callback, &block) == BERTH_RET_OK);
    Records accepted = records(1000);
    size_t refused = 0;
    for (auto &record : accepted)
        if (context.submit("echo", few, Record::callback, record.get()) != BERTH_RET_OK) {
            refused++;
            record->terminal = 1;
        }
    CHECK(refused == 0); // 4 MB of a ring of 64 MiB
    CHECK(all_answered(accepted));
}
