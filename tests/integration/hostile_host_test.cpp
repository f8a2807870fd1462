// A host that speaks the control protocol and then lies in the segment: it is cut off, others are not.
#include <doctest/doctest.h>
#include <functional>
#include <map>
#include <unistd.h>

#include "control_peer.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "segment_map.h"
#include "service.h"

using namespace berth::test;

namespace {

constexpr uint64_t kId = uint64_t(1) << 32;
constexpr uint16_t kSkip = 0; // the frame that sends the reader elsewhere

berth_frame_header frame(uint16_t kind, uint64_t id, uint32_t size = 0) { return {size, kind, 0, id, 0, 0, 0}; }

// Whatever this host does: its connection ends with a reason, and the other one's context answers on.
void check_cut_off(const std::function<void(RawSegment &)> &before_open,
                   const std::function<void(RawSegment &)> &after_open) {
    Service service;
    Host other(service.socket());
    Context beside(other);
    {
        RawSegment segment;
        ControlPeer peer(service.socket());
        REQUIRE(peer.greet());
        before_open(segment);
        REQUIRE(peer.open(1, "echo", segment.fds()));
        after_open(segment);
        CHECK(peer.cut_off());
    }
    CHECK_MESSAGE(service.logs("is disconnected: context "), service.log());
    CHECK(beside.call("echo", "undisturbed") == Answer{0, "undisturbed"});
    Context next(other);
    CHECK(next.call("echo", "next") == Answer{0, "next"});
}

void create(RawSegment &segment) { segment.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_CREATE, kId)); }
void nothing(RawSegment &) {}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "segments that cannot be are refused, each with its reason") {
    using Change = std::function<void(berth_segment_header &)>;
    const std::map<std::string, Change> changes = {
        {"magic", [](auto &header) { header.magic = 0; }},
        {"major", [](auto &header) { header.major = 99; }},
        {"size", [](auto &header) { header.segment_size = 1; }},
        {"payload", [](auto &header) { header.max_payload = ~0u; }},
        {"in flight", [](auto &header) { header.max_in_flight = 0; }},
        {"ring past the end", [](auto &header) { header.rings[0].offset = header.segment_size; }},
        {"ring over the header", [](auto &header) { header.rings[1].offset = 0; }},
        {"ring over a ring", [](auto &header) { header.rings[1].offset = header.rings[0].offset; }},
        {"capacity", [](auto &header) { header.rings[2].capacity = 12345; }},
        {"huge capacity", [](auto &header) { header.rings[2].capacity = uint64_t(1) << 63; }},
    };
    for (const auto &[name, change] : changes) {
        CAPTURE(name);
        check_cut_off([&](RawSegment &segment) { change(segment.header()); }, nothing);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "frames that cannot be end the lease and the connection") {
    using Lie = std::function<void(RawSegment &)>;
    const std::map<std::string, Lie> lies = {
        {"tail past the capacity", [](auto &s) { s.publish_tail(BERTH_RING_REQUEST, BERTH_RING_CAPACITY * 2); }},
        {"odd tail", [](auto &s) { s.publish_tail(BERTH_RING_REQUEST, 77); }},
        {"tail behind", [](auto &s) { s.publish_tail(BERTH_RING_REQUEST, ~uint64_t(63)); }},
        {"kind", [](auto &s) { s.publish(BERTH_RING_REQUEST, frame(200, kId + 1)); }},
        {"a reply as a request", [](auto &s) { s.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_REPLY, kId + 1)); }},
        {"size", [](auto &s) { s.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_REQUEST, kId + 1, ~0u)); }},
        {"size past the tail", [](auto &s) { s.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_REQUEST, kId + 1, 4096)); }},
        {"slot", [](auto &s) { s.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_REQUEST, kId + 64)); }},
        {"generation 0", [](auto &s) { s.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_REQUEST, 3)); }},
        {"a second create", [](auto &s) { s.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_CREATE, kId + 1)); }},
        {"flags",
         [](auto &s) {
             auto header = frame(BERTH_FRAME_REQUEST, kId + 1);
             header.flags = 1;
             s.publish(BERTH_RING_REQUEST, header);
         }},
        {"a jump to nowhere", [](auto &s) { s.publish(BERTH_RING_REQUEST, frame(kSkip, 77)); }},
        {"a request in the urgent ring", [](auto &s) { s.publish(BERTH_RING_URGENT, frame(BERTH_FRAME_REQUEST, kId + 1)); }},
        {"urgent tail", [](auto &s) { s.publish_tail(BERTH_RING_URGENT, BERTH_RING_CAPACITY); }},
    };
    for (const auto &[name, lie] : lies) {
        CAPTURE(name);
        check_cut_off(create, [&](RawSegment &segment) {
            sleep_ms(20);
            lie(segment);
        });
    }
}

TEST_CASE_FIXTURE(LeakChecked, "the reply ring's head set to nonsense ends the lease when the worker answers") {
    check_cut_off(create, [&](RawSegment &segment) {
        __atomic_store_n(&segment.header().control[BERTH_RING_REPLY].head, uint64_t(12345), __ATOMIC_SEQ_CST);
        for (uint64_t i = 1; i < 60; i++) {
            auto header = frame(BERTH_FRAME_REQUEST, kId + i, 1 << 20);
            header.code = method_id("echo");
            segment.publish(BERTH_RING_REQUEST, header, std::string(1 << 20, 'x'));
        }
        sleep_ms(50);
    });
}

TEST_CASE_FIXTURE(LeakChecked, "random words all over the segment's header: this host alone suffers") {
    Service service;
    Host other(service.socket());
    Context beside(other);
    uint32_t random = 12345;
    for (int round = 0; round < 10; round++) {
        RawSegment segment;
        ControlPeer peer(service.socket());
        REQUIRE(peer.greet());
        create(segment);
        REQUIRE(peer.open(1, "echo", segment.fds()));
        auto *words = reinterpret_cast<uint32_t *>(&segment.header());
        for (int i = 0; i < 20000; i++) {
            random = random * 1664525 + 1013904223;
            __atomic_store_n(&words[(random >> 8) % 1024], random >> 3, __ATOMIC_RELAXED);
        }
        CHECK(beside.call("echo", "undisturbed") == Answer{0, "undisturbed"});
    }
    CHECK(Context(other).call("echo", "next") == Answer{0, "next"});
}
