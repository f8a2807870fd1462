#include <doctest/doctest.h>

#include "ring_pair.h"

namespace {
berth_frame_header frame(uint32_t size, uint16_t kind) {
    berth_frame_header header{};
    header.size = size;
    header.kind = kind;
    header.id = 1;
    return header;
}
} // namespace

TEST_CASE("a header that cannot be is EBADMSG, and stays so") {
    RingPair ring(4096);
    auto bad = [&](berth_frame_header header, uint64_t span) {
        ring.forge(header, span);
        int first = ring.peek();
        CHECK(ring.peek() == first);
        return first == -EBADMSG;
    };
    auto header = frame(0, BERTH_FRAME_REQUEST);
    ring.forge(header, 64);
    REQUIRE(ring.peek() == 1);

    CHECK(bad(frame(0, BERTH_FRAME_KIND_COUNT), 64));
    CHECK(bad(frame(0, 0xffff), 64));
    CHECK(bad(frame(33, BERTH_FRAME_REQUEST), 64)); // one byte more than was published
    CHECK(bad(frame(4096 - 31, BERTH_FRAME_REQUEST), 4096));
    CHECK(bad(frame(BERTH_MAX_PAYLOAD + 1, BERTH_FRAME_REQUEST), 4096));
    CHECK(bad(frame(UINT32_MAX, BERTH_FRAME_REQUEST), 4096));
    header = frame(0, BERTH_FRAME_REQUEST), header.flags = 1;
    CHECK(bad(header, 64));
    header = frame(0, BERTH_FRAME_REQUEST), header.reserved0 = 1;
    CHECK(bad(header, 64));
}

TEST_CASE("a frame's stamp is whatever it is") {
    RingPair ring(4096);
    auto header = frame(0, BERTH_FRAME_REQUEST);
    header.stamp = UINT64_MAX;
    ring.forge(header, 64);
    CHECK(ring.peek() == 1);
}

TEST_CASE("a frame may not reach over the end of the ring") {
    RingPair ring(4096);
    REQUIRE(ring.send(std::string(2000, 'x')) == 0);
    REQUIRE(ring.receive());
    ring.forge(frame(2100, BERTH_FRAME_REQUEST), 4096);
    CHECK(ring.peek() == -EBADMSG);
}

TEST_CASE("a JUMP must lead to a frame inside the ring, published with it, and be empty") {
    auto jump_to = [](uint64_t to, auto change, uint64_t published = 128) {
        RingPair ring(4096);
        REQUIRE(ring.send("x") == 0);
        REQUIRE(ring.receive());
        auto target = frame(0, BERTH_FRAME_REQUEST);
        if (to % 64 == 0 && to < 4096)
            std::memcpy(ring.bytes.get() + to, &target, sizeof target);
        auto jump = frame(0, BERTH_FRAME_JUMP);
        jump.id = to;
        change(jump);
        ring.forge(jump, published);
        return ring.peek();
    };
    auto as_it_is = [](auto &) {};
    CHECK(jump_to(0, as_it_is) == 1);
    CHECK(jump_to(128, as_it_is) == 1);
    CHECK(jump_to(4096 - 64, as_it_is) == 1);
    for (uint64_t to : {uint64_t{1}, uint64_t{32}, uint64_t{4096 - 63}, uint64_t{4096 - 32}, uint64_t{4096},
                        uint64_t{8192}, uint64_t{1} << 63, ~uint64_t{63}, ~uint64_t{0}}) {
        CAPTURE(to);
        CHECK(jump_to(to, as_it_is) == -EBADMSG);
    }
    CHECK(jump_to(0, as_it_is, 64) == -EBADMSG); // published alone
    CHECK(jump_to(0, [](auto &jump) { jump.size = 1; }) == -EBADMSG);
    CHECK(jump_to(0, [](auto &jump) { jump.size = 64; }, 256) == -EBADMSG);
    CHECK(jump_to(0, [](auto &jump) { jump.flags = 1; }) == -EBADMSG);
    CHECK(jump_to(0, [](auto &jump) { jump.code = 1; }) == -EBADMSG);
    CHECK(jump_to(0, [](auto &jump) { jump.reserved0 = 1; }) == -EBADMSG);
    CHECK(jump_to(0, [](auto &jump) { jump.stamp = 1; }) == -EBADMSG);
}

TEST_CASE("a frame behind a JUMP may not reach over the end, nor past what is published") {
    auto jump_to_last = [](uint32_t size, uint64_t published) {
        RingPair ring(4096);
        auto target = frame(size, BERTH_FRAME_REQUEST);
        std::memcpy(ring.bytes.get() + 4096 - 128, &target, sizeof target);
        auto jump = frame(0, BERTH_FRAME_JUMP);
        jump.id = 4096 - 128;
        ring.forge(jump, published);
        return ring.peek();
    };
    CHECK(jump_to_last(128 - 32, 64 + 128) == 1);
    CHECK(jump_to_last(128 - 31, 64 + 192) == -EBADMSG);
    CHECK(jump_to_last(128 - 32, 64 + 64) == -EBADMSG);
}

TEST_CASE("two JUMPs in a row are EBADMSG, and so is one to itself") {
    for (uint64_t second_at : {uint64_t{64}, uint64_t{0}}) {
        RingPair ring(4096);
        auto jump = frame(0, BERTH_FRAME_JUMP);
        jump.id = second_at;
        std::memcpy(ring.bytes.get() + second_at, &jump, sizeof jump);
        ring.forge(jump, 4096);
        CHECK(ring.peek() == -EBADMSG);
    }
}

TEST_CASE("a ring of zeros, as a punched hole leaves it, holds no frame") {
    RingPair ring(4096);
    ring.control->tail = 1024;
    CHECK(ring.peek() == -EBADMSG);
}

TEST_CASE("a JUMP is given back with the frame behind it, not when it is peeked over") {
    RingPair ring(4096);
    REQUIRE(ring.send(std::string(3000, 'a')) == 0);
    REQUIRE(ring.receive());
    uint64_t head = ring.control->head;
    REQUIRE(ring.send(std::string(2000, 'b')) == 0);
    REQUIRE(ring.peek() == 1);
    CHECK(ring.control->head == head);
    REQUIRE(ring.peek() == 1);
    CHECK(ring.receive() == std::string(2000, 'b'));
    CHECK(ring.control->head == ring.control->tail);
}

TEST_CASE("a tail that cannot be is EBADMSG") {
    for (int64_t number : {int64_t{1}, int64_t{63}, int64_t{4096 + 64}, INT64_MIN, int64_t{-1}, int64_t{-64}}) {
        auto tail = static_cast<uint64_t>(number);
        RingPair ring(4096);
        ring.control->tail = tail;
        CHECK(berth_ring_ready(&ring.consumer));
        CHECK(berth_ring_prepare_wait(&ring.consumer, BERTH_ASLEEP_FUTEX) == 0);
        CHECK(ring.peek() == -EBADMSG);
    }
}

TEST_CASE("a tail that goes back is EBADMSG once what was published is read") {
    RingPair ring(4096);
    REQUIRE(ring.send("one") == 0);
    REQUIRE(ring.send("two") == 0);
    REQUIRE(ring.peek() == 1);
    ring.control->tail = 64;
    CHECK(ring.receive() == "one");
    CHECK(ring.receive() == "two");
    CHECK(ring.peek() == -EBADMSG);
}

TEST_CASE("a head that cannot be is EBADMSG to the producer that needs room") {
    for (uint64_t head : {uint64_t{64 * 3 + 1}, uint64_t{64 * 65}, uint64_t{1} << 63, ~uint64_t{63}}) {
        RingPair ring(4096);
        for (int i = 0; i < 63; i++)
            REQUIRE(ring.send("") == 0);
        ring.control->head = head;
        CHECK(ring.send("") == -EBADMSG);
    }
    RingPair ring(4096);
    for (int i = 0; i < 63; i++)
        REQUIRE(ring.send("") == 0);
    ring.control->head = 64 * 10;
    for (int i = 0; i < 9; i++) // one less, for the JUMP
        REQUIRE(ring.send("") == 0);
    ring.control->head = 64 * 9; // back
    CHECK(ring.send("") == -EBADMSG);
}

TEST_CASE("no index is read back from the shared words") {
    RingPair ring(4096);
    REQUIRE(ring.send("one") == 0);
    ring.control->tail = 64 * 1000; // the consumer's business, not the producer's
    ring.control->head = 64 * 7;    // the producer's, not the consumer's
    REQUIRE(ring.send("two") == 0);
    CHECK(ring.receive() == "one");
    CHECK(ring.receive() == "two");
    CHECK(ring.control->head == ring.consumer.head);
    CHECK(ring.control->tail == ring.producer.tail);
}

TEST_CASE("the header is a copy: what the peer writes after the peek changes nothing") {
    RingPair ring(4096);
    REQUIRE(ring.send("whole") == 0);
    REQUIRE(ring.peek() == 1);
    std::memset(ring.bytes.get(), 0xff, 32);
    CHECK(ring.header.size == 5);
    berth_ring_advance(&ring.consumer);
    CHECK(ring.consumer.head == 64);
}
