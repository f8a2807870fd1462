// Data that a request sends on its way: its order, the credit that bounds it, and that nobody else waits for it.
#include <cstring>
#include <doctest/doctest.h>
#include <unistd.h>
#include <utility>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "manifests.h"
#include "policy_service.h"
#include "processes.h"
#include "raw_host.h"
#include "segment_map.h"
#include "service.h"

using namespace berth::test;

namespace {

constexpr uint32_t kPiece = 65536, kCost = kPiece + 64;
constexpr uint32_t kMost = BERTH_DATA_CREDIT / kCost; // pieces that may be on their way
constexpr uint32_t kSlack = BERTH_DATA_CREDIT % kCost;

std::string stream(uint32_t count, uint32_t bytes) {
    return cbor("{\"count\": " + std::to_string(count) + ", \"bytes\": " + std::to_string(bytes) + "}");
}

uint32_t index_of(const std::string &payload) {
    uint32_t index = 0;
    for (size_t i = 0; i < 4; i++)
        index = index << 8 | static_cast<uint8_t>(payload.at(i));
    return index;
}

struct Streaming : LeakChecked {
    Service service;
    RawHost host{service.socket()};
    uint64_t id = 0;
    uint32_t got = 0;

    void begin(uint32_t count, uint32_t bytes = kPiece) {
        host.open();
        id = host.request("stream", stream(count, bytes));
    }
    // So many of its pieces come, in order; nothing else comes meanwhile.
    void take(uint32_t pieces, uint32_t bytes = kPiece) {
        for (uint32_t i = 0; i < pieces; i++) {
            auto frame = host.next();
            REQUIRE(frame);
            REQUIRE(frame->header.kind == BERTH_FRAME_DATA);
            REQUIRE(frame->header.id == id);
            REQUIRE(frame->payload.size() == bytes);
            REQUIRE(index_of(frame->payload) == got++);
        }
    }
    // It waits, and others do not. Of a worker that did not wait another piece would be among their answers.
    void check_waits() {
        for (int i = 0; i < 100; i++)
            REQUIRE(host.answer(host.request("echo", "meanwhile")) == "meanwhile");
        REQUIRE(host.answer(host.request("later", later_request(20, "later"))) == "later");
    }
};

} // namespace

TEST_CASE_FIXTURE(Streaming, "data waits at 1 MiB unread, others are answered, and credit sets it going") {
    begin(3 * kMost);
    take(kMost);
    check_waits();
    host.credit(id, kCost);
    take(1);
    check_waits();
    host.credit(id, kCost - kSlack - 1); // not enough for one
    check_waits();
    host.credit(id, 1);
    take(1);
    while (got < 3 * kMost) {
        host.credit(id, kCost);
        take(1);
    }
    CHECK(host.answer(id) == cbor(std::to_string(3 * kMost)));
    check_waits();
}

TEST_CASE_FIXTURE(Streaming, "a piece beyond the credit goes alone, once nothing else is unread") {
    constexpr uint32_t kLarge = 4 << 20;
    begin(3, kLarge);
    take(1, kLarge);
    check_waits();
    host.credit(id, kLarge); // a little is left
    check_waits();
    host.credit(id, 64);
    take(1, kLarge);
    host.credit(id, kLarge + 64);
    take(1, kLarge);
    CHECK(host.answer(id) == cbor("3"));
}

TEST_CASE_FIXTURE(Streaming, "many small pieces are bounded as well: each costs its room in the ring") {
    constexpr uint32_t kPieces = BERTH_DATA_CREDIT / 64;
    begin(kPieces + 1, 4);
    take(kPieces, 4);
    check_waits();
    host.credit(id, 64);
    take(1, 4);
    CHECK(host.answer(id).size() > 0);
}

TEST_CASE_FIXTURE(Streaming, "a host that gives back more than it had, or for what is not there, gains nothing") {
    begin(3 * kMost);
    take(kMost);
    host.credit(id + (uint64_t{1} << 32), UINT32_MAX); // another generation
    host.credit(id + 1, UINT32_MAX);                   // no request
    host.credit(~uint64_t{0}, UINT32_MAX);             // no slot
    host.credit(0, UINT32_MAX);
    host.credit(id, 0);
    check_waits();
    host.credit(id, UINT32_MAX);
    take(kMost);
    check_waits();
}

TEST_CASE_FIXTURE(Streaming, "two requests have a credit each") {
    begin(2 * kMost);
    take(kMost);
    uint64_t first = id;
    uint32_t first_got = std::exchange(got, 0);
    id = host.request("stream", stream(2 * kMost, kPiece));
    take(kMost);
    check_waits();
    host.credit(id, UINT32_MAX);
    take(kMost);
    CHECK(host.answer(id) == cbor(std::to_string(2 * kMost)));
    id = first, got = first_got;
    check_waits();
    host.credit(id, UINT32_MAX);
    take(kMost);
    CHECK(host.answer(id) == cbor(std::to_string(2 * kMost)));
}

TEST_CASE_FIXTURE(Streaming, "a cancel ends the wait for credit") {
    begin(2 * kMost);
    take(kMost);
    check_waits();
    host.urgent(BERTH_FRAME_CANCEL, id);
    CHECK(host.answer(id) == "1: cancelled");
    check_waits();
}

TEST_CASE_FIXTURE(Streaming, "a host that sleeps on its socket is woken by data") {
    begin(2 * kMost);
    take(kMost);
    REQUIRE(host.prepare_wait());
    host.credit(id, kCost);
    CHECK(host.woken());
    take(1);
}

TEST_CASE_FIXTURE(LeakChecked, "a close cuts off what waits for credit, within its bounds") {
    Manifests manifests;
    manifests.add_echo("drain_timeout_ms = 100\n");
    Service service({.modules = manifests.path()});
    RawHost host(service.socket());
    host.open();
    uint64_t id = host.request("stream", stream(2 * kMost, kPiece));
    for (uint32_t i = 0; i < kMost; i++)
        REQUIRE(host.next());
    host.urgent(BERTH_FRAME_CLOSE);
    CHECK(host.answer(id).starts_with("11: "));
    auto closed = host.next();
    REQUIRE(closed);
    CHECK(closed->header.kind == BERTH_FRAME_CLOSED);
    CHECK(closed->header.code == BERTH_CANCELLED);
    CHECK(closed->header.id == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "a host that goes away ends the wait for credit: its worker serves the next one") {
    PolicyService service("max_contexts = 1\nspares = 0\n");
    pid_t worker;
    {
        RawHost host(service.socket());
        worker = host.open();
        host.request("stream", stream(2 * kMost, kPiece));
        for (uint32_t i = 0; i < kMost; i++)
            REQUIRE(host.next());
    }
    RawHost next(service.socket());
    CHECK(next.open() == worker);
    CHECK(next.answer(next.request("echo", "next")) == "next");
}

TEST_CASE_FIXTURE(LeakChecked, "data that finds the reply ring full waits, and does not keep small answers from theirs") {
    constexpr uint32_t kLarge = 15 << 20;
    Service service;
    RawHost host(service.socket());
    host.open();
    uint64_t ids[6];
    for (uint64_t &id : ids)
        id = host.request("stream", stream(1, kLarge));
    uint64_t small = host.request("later", later_request(200, "small"));
    // Three or four of them fill the ring; the small answer is behind those, and the rest come as room is made.
    auto *tail = &host.header().control[BERTH_RING_REPLY].tail;
    uint64_t most = BERTH_RING_CAPACITY - kLarge;
    CHECK(eventually([&] { return __atomic_load_n(tail, __ATOMIC_ACQUIRE) > most - kLarge; }));
    size_t data = 0, before_small = 0, answers = 0;
    while (answers < 7) {
        auto frame = host.next();
        REQUIRE(frame);
        data += frame->header.kind == BERTH_FRAME_DATA;
        answers += frame->header.kind == BERTH_FRAME_REPLY;
        if (frame->header.id == small)
            before_small = data;
    }
    CHECK(data == 6);
    CHECK(before_small <= 6);
}

TEST_CASE_FIXTURE(LeakChecked, "a host of major 1 is sent no DATA, and the module is told") {
    Service service;
    RawSegment segment;
    ControlPeer peer(service.socket());
    REQUIRE(peer.greet());
    REQUIRE(peer.open(1, "echo", segment.fds()));
    std::string payload = stream(3, 8);
    segment.publish(BERTH_RING_REQUEST, {0, BERTH_FRAME_CREATE, 0, uint64_t(1) << 32, 0, 0, 0});
    segment.publish(BERTH_RING_REQUEST, {static_cast<uint32_t>(payload.size()), BERTH_FRAME_REQUEST, 0,
                                         uint64_t(1) << 32 | 1, method_id("stream"), 0, 0},
                    payload);
    auto *tail = &segment.header().control[BERTH_RING_REPLY].tail;
    CHECK(eventually([&] { return __atomic_load_n(tail, __ATOMIC_ACQUIRE) >= 128; }));
    berth_frame_header second;
    std::memcpy(&second, segment.bytes(BERTH_RING_REPLY) + 64, sizeof second);
    CHECK(second.kind == BERTH_FRAME_REPLY);
    CHECK(std::string(reinterpret_cast<char *>(segment.bytes(BERTH_RING_REPLY)) + 96, second.size) ==
          "stream: the host is too old for it");
}
