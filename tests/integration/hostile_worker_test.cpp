// A worker that lies in the rings: the context is lost with PROTOCOL, the host lives, other contexts go on.
#include <cstring>
#include <doctest/doctest.h>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "ring.h"
#include "segment_map.h"

using namespace berth::test;

namespace {

uint8_t *bytes_of(berth_segment_header *segment, berth_ring_name ring) {
    return reinterpret_cast<uint8_t *>(segment) + segment->rings[ring].offset;
}

void publish(berth_segment_header *segment, berth_ring_name ring, uint64_t tail) {
    auto &control = segment->control[ring];
    __atomic_store_n(&control.tail, tail, __ATOMIC_SEQ_CST);
    berth_ring_kick(&control);
}

void publish_frame(berth_segment_header *segment, berth_ring_name ring, const berth_frame_header &frame) {
    uint64_t tail = __atomic_load_n(&segment->control[ring].tail, __ATOMIC_SEQ_CST);
    std::memcpy(bytes_of(segment, ring) + (tail & (segment->rings[ring].capacity - 1)), &frame, sizeof frame);
    publish(segment, ring, tail + BERTH_FRAME_ALIGN);
}

constexpr uint16_t kSkip = 0; // the frame that sends the reader elsewhere

using Lie = std::function<void(berth_segment_header *)>;

void check_end(const Lie &lie, int ret) {
    Host host;
    Context context(host);
    auto segments = mapped_segments();
    REQUIRE(segments.size() == 1);
    Context beside(host);
    Record by_callback, by_reap;
    std::string slow = later_request(60000, "x");
    REQUIRE(context.submit("later", slow, Record::callback, &by_callback) == 0);
    REQUIRE(context.submit("later", slow, nullptr, &by_reap) == 0);
    std::thread blocked([&] { CHECK(context.call("later", slow).ret == ret); });
    sleep_ms(30);
    lie(segments[0]);
    blocked.join();
    CHECK(eventually([&] { return by_callback.answered(); }));
    CHECK(eventually([&] { return reap_into_records(context.handle(), 100) < 0 || by_reap.answered(); }));
    for (Record *record : {&by_callback, &by_reap}) {
        CHECK(record->terminal == 1);
        CHECK(record->ret == ret);
    }
    CHECK(context.call("echo", "").ret == ret);
    CHECK(context.close() == BERTH_RET_OK);
    CHECK(beside.call("echo", "undisturbed") == Answer{0, "undisturbed"});
}

berth_frame_header frame(uint16_t kind, uint64_t id, uint32_t code = 0, uint32_t size = 0) {
    return {size, kind, 0, id, code, 0, 0};
}

Lie reply(const berth_frame_header &header) {
    return [header](berth_segment_header *segment) { publish_frame(segment, BERTH_RING_REPLY, header); };
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "reply rings that cannot be: PROTOCOL for everything pending, and no crash") {
    const std::map<std::string, Lie> lies = {
        {"tail past the capacity", [](auto *s) { publish(s, BERTH_RING_REPLY, BERTH_RING_CAPACITY * 4); }},
        {"odd tail", [](auto *s) { publish(s, BERTH_RING_REPLY, s->control[BERTH_RING_REPLY].tail + 7); }},
        {"kind", reply(frame(99, 1))},
        {"a request as a reply", reply(frame(BERTH_FRAME_REQUEST, 1))},
        {"an id that nobody asked for", reply(frame(BERTH_FRAME_REPLY, uint64_t(7) << 32 | 900))},
        {"a slot that is not", reply(frame(BERTH_FRAME_REPLY, uint64_t(1) << 32 | 70000))},
        {"a ret that no worker sends", reply(frame(BERTH_FRAME_REPLY, uint64_t(1) << 32, BERTH_RET_FORKED))},
        {"a size past the tail", reply(frame(BERTH_FRAME_REPLY, uint64_t(1) << 32, 0, 1 << 20))},
        {"progress of nothing", reply(frame(BERTH_FRAME_PROGRESS, uint64_t(7) << 32 | 900))},
        {"progress of a slot that is not", reply(frame(BERTH_FRAME_PROGRESS, uint64_t(1) << 32 | 70000))},
        {"closed in a way that is not", reply(frame(BERTH_FRAME_CLOSED, 0, BERTH_KILLED + 1))},
        {"a jump to nowhere", reply(frame(kSkip, 77, 0, 64))},
    };
    for (const auto &[name, lie] : lies) {
        CAPTURE(name);
        check_end(lie, BERTH_RET_PROTOCOL);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a close that the host did not ask for: RECYCLED for everything pending") {
    check_end(reply(frame(BERTH_FRAME_CLOSED, 0)), BERTH_RET_RECYCLED);
}

TEST_CASE_FIXTURE(LeakChecked, "an event ring that cannot be loses the context with PROTOCOL") {
    for (uint32_t code : {300u, 60000u}) {
        Host host;
        Context context(host);
        Record event;
        REQUIRE(berth_listen(context.handle(), "tick", Record::callback, &event, nullptr) == 0);
        publish_frame(mapped_segments()[0], BERTH_RING_EVENT, frame(BERTH_FRAME_EVENT, 0, code));
        CHECK(eventually([&] { return context.call("echo", "").ret == BERTH_RET_PROTOCOL; }));
        CHECK(event.terminal == 0);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "the worker of a context that ended with PROTOCOL goes back when that is closed") {
    Host host;
    Context context(host);
    Record flying; // which the worker writes nothing for
    REQUIRE(context.submit("later", later_request(60000, "x"), Record::callback, &flying) == 0);
    publish_frame(mapped_segments()[0], BERTH_RING_REPLY, frame(77, 0));
    REQUIRE(eventually([&] { return flying.answered(); }));
    CHECK(flying.ret == BERTH_RET_PROTOCOL);
    CHECK(number_at(host.status().bytes, "/contexts/0/id") >= 1);
    CHECK(context.close() == BERTH_RET_OK);
    CHECK(eventually([&] { return number_at(host.status().bytes, "/contexts/0/id") < 1; }));
}

TEST_CASE_FIXTURE(LeakChecked, "an event ring that cannot be answers what is in flight, too") {
    Host host;
    Context context(host);
    Record pending;
    REQUIRE(berth_listen(context.handle(), "tick", Record::callback, &pending, nullptr) == 0);
    Record flying;
    REQUIRE(context.submit("later", later_request(60000, "x"), Record::callback, &flying) == 0);
    publish_frame(mapped_segments()[0], BERTH_RING_EVENT, frame(77, 0));
    CHECK(eventually([&] { return flying.answered(); }, std::chrono::seconds(20)));
    CHECK(flying.ret == BERTH_RET_PROTOCOL);
}

TEST_CASE_FIXTURE(LeakChecked, "a request ring whose head lies is PROTOCOL or full, and the close is bounded") {
    Host host;
    Context context(host);
    auto *segment = mapped_segments()[0];
    __atomic_store_n(&segment->control[BERTH_RING_REQUEST].head, ~uint64_t(0) - 63, __ATOMIC_SEQ_CST);
    std::string large(size_t(8) << 20, 'x');
    int ret = BERTH_RET_OK;
    for (int i = 0; i < 20 && ret == BERTH_RET_OK; i++)
        ret = context.call("echo", large, 5000).ret;
    CHECK(context.close() == BERTH_RET_OK);
    CHECK(Context(host).call("echo", "next") == Answer{0, "next"});
}

TEST_CASE_FIXTURE(LeakChecked, "random words all over the rings' control while calls are made: no crash, no hang") {
    Host host;
    for (uint32_t round = 0; round < 10; round++) {
        Context context(host);
        REQUIRE(eventually([] { return mapped_segments().size() == 1; })); // the last round's is unmapped a little later
        auto *segment = mapped_segments()[0];
        std::vector<std::unique_ptr<Record>> records;
        uint32_t random = round * 7919 + 1;
        for (int i = 0; i < 200; i++) {
            records.push_back(std::make_unique<Record>());
            if (context.submit("echo", "x", Record::callback, records.back().get()) != 0)
                records.pop_back();
            random = random * 1664525 + 1013904223;
            auto &control = segment->control[BERTH_RING_REPLY + (random >> 9) % 2];
            if (i > 100)
                __atomic_store_n((random & 64 ? &control.tail : &control.head), uint64_t(random) << (random >> 27),
                                 __ATOMIC_RELAXED);
        }
        CHECK(context.close() == BERTH_RET_OK);
        int once = 0; // callbacks may run on a little after the close
        eventually([&] {
            once = 0;
            for (auto &record : records)
                once += record->terminal == 1;
            return once == static_cast<int>(records.size());
        });
        CHECK(once == static_cast<int>(records.size()));
    }
}
