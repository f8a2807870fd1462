#include <doctest/doctest.h>

#include "ring_pair.h"

TEST_CASE("frames of 0 bytes and up arrive whole and in order, lap after lap") {
    RingPair ring(1 << 16);
    uint64_t id = 1;
    for (int lap = 0; lap < 4; lap++)
        for (size_t size = 0; size < 1500; size += 1 + size / 50, id++) {
            REQUIRE(ring.send(some_text(size, id), id) == 0);
            REQUIRE(ring.receive() == some_text(size, id));
            CHECK(ring.header.id == id);
            CHECK(ring.header.kind == BERTH_FRAME_REQUEST);
            CHECK(ring.header.code == ~static_cast<uint32_t>(size));
        }
    CHECK(ring.peek() == 0);
}

TEST_CASE("a payload of the largest size passes, twice in a row without a reader") {
    RingPair ring(BERTH_RING_CAPACITY);
    std::string large = some_text(BERTH_MAX_PAYLOAD, 3), other = some_text(BERTH_MAX_PAYLOAD, 4);
    REQUIRE(ring.send(large) == 0);
    REQUIRE(ring.send(other) == 0);
    CHECK((ring.receive() == large));
    CHECK((ring.receive() == other));
}

TEST_CASE("every size around the alignment leaves the next frame where it belongs") {
    RingPair ring(1 << 14);
    for (uint32_t size = 0; size < 300; size++) {
        CHECK(berth_frame_span(size) % BERTH_FRAME_ALIGN == 0);
        CHECK(berth_frame_span(size) >= size + BERTH_FRAME_HEADER_SIZE);
        CHECK(berth_frame_span(size) < size + BERTH_FRAME_HEADER_SIZE + BERTH_FRAME_ALIGN);
        REQUIRE(ring.send(some_text(size, size)) == 0);
        REQUIRE(ring.send("next") == 0);
        CHECK(ring.receive() == some_text(size, size));
        CHECK(ring.receive() == "next");
    }
}

TEST_CASE("a frame that does not fit before the end starts at 0 behind a JUMP") {
    RingPair ring(4096);
    for (int i = 0; i < 3; i++) {
        REQUIRE(ring.send(some_text(1000, 1)) == 0);
        REQUIRE(ring.receive());
    }
    uint64_t end = ring.producer.tail;
    REQUIRE(end == 3 * 1088);
    REQUIRE(ring.send(some_text(1000, 2)) == 0);
    CHECK(ring.producer.tail == end + 64 + 1088);
    berth_frame_header jump;
    std::memcpy(&jump, ring.bytes.get() + end, sizeof jump);
    CHECK(jump.kind == BERTH_FRAME_JUMP);
    CHECK(jump.id == 0);
    CHECK(jump.size == 0);
    CHECK(ring.producer.high_water == end + 64);
    CHECK(ring.receive() == some_text(1000, 2));
    CHECK((ring.payload == ring.bytes.get() + BERTH_FRAME_HEADER_SIZE));
}

TEST_CASE("going back to the front costs no room: with the consumer stalled 16 MiB frames still fit a 64 MiB ring") {
    for (bool peeked : {false, true}) {
        RingPair ring(BERTH_RING_CAPACITY);
        while (ring.producer.runs[0].end < BERTH_HOT_WINDOW) {
            REQUIRE(ring.send(some_text(1000, 1)) == 0);
            REQUIRE(ring.receive());
        }
        REQUIRE(ring.send("stalled") == 0); // at offset 0, behind a JUMP that is unread as well
        REQUIRE(ring.producer.run_count == 2);
        if (peeked)
            REQUIRE(ring.peek() == 1);
        std::string large = some_text(BERTH_MAX_PAYLOAD, 7);
        for (int i = 0; i < 3; i++)
            REQUIRE(ring.send(large) == 0);
        CHECK(ring.send(large) == -ENOSPC);
        CHECK(ring.receive() == "stalled");
        for (int i = 0; i < 3; i++)
            CHECK((ring.receive() == large));
        CHECK(ring.peek() == 0);
    }
}

TEST_CASE("the room between two runs is found again when the one that had it is read") {
    RingPair ring(4096); // 64 units of 64 bytes
    auto frame = [](unsigned units) { return std::string(units * 64 - BERTH_FRAME_HEADER_SIZE, 'x'); };
    REQUIRE(ring.send(frame(24)) == 0); // 0 to 24
    REQUIRE(ring.send(frame(22)) == 0); // 24 to 46
    REQUIRE(ring.receive());
    REQUIRE(ring.send(frame(20)) == 0); // 0 to 20, behind a JUMP at 46
    REQUIRE(ring.send(frame(16)) == 0); // 47 to 63, behind a JUMP at 20
    REQUIRE(ring.receive());
    CHECK(ring.send(frame(1)) == -ENOSPC); // three runs: the consumer has the JUMP at 46 before it
    REQUIRE(ring.receive());
    CHECK(ring.send(frame(26)) == -ENOSPC);
    REQUIRE(ring.send(frame(25)) == 0); // 21 to 46
    CHECK(ring.receive() == frame(16));
    CHECK(ring.receive() == frame(25));
    CHECK((ring.payload == ring.bytes.get() + 21 * 64 + BERTH_FRAME_HEADER_SIZE));
    CHECK(ring.peek() == 0);
}

TEST_CASE("a reserved frame that is given up for a larger one leaves no JUMP behind") {
    RingPair ring(4096);
    REQUIRE(ring.send(std::string(1000, 'a')) == 0);
    REQUIRE(ring.send(std::string(2000, 'b')) == 0);
    REQUIRE(ring.receive());
    uint8_t *room;
    uint64_t tail = ring.producer.tail;
    REQUIRE(berth_ring_reserve(&ring.producer, 950, &room) == 0); // a JUMP to 0
    CHECK(ring.producer.tail == tail + 64);
    CHECK(berth_ring_reserve(&ring.producer, 1100, &room) == -ENOSPC);
    CHECK(ring.producer.tail == tail);
    REQUIRE(berth_ring_reserve(&ring.producer, 950, &room) == 0);
    REQUIRE(ring.receive());
    REQUIRE(ring.send(std::string(1400, 'c')) == 0);
    CHECK(ring.receive() == std::string(1400, 'c'));
}

TEST_CASE("small traffic stays within the hot window and the consumer's lag behind it") {
    RingPair ring(8 * BERTH_HOT_WINDOW);
    for (unsigned i = 0; i < 20000; i++) {
        REQUIRE(ring.send("small", i) == 0);
        if (i % 8 == 7)
            for (int k = 0; k < 8; k++)
                REQUIRE(ring.receive() == "small");
    }
    CHECK(ring.producer.tail > 4 * BERTH_HOT_WINDOW);
    CHECK(ring.producer.high_water <= BERTH_HOT_WINDOW + 9 * 64);
}

TEST_CASE("a burst that nobody reads uses the ring beyond the hot window") {
    RingPair ring(4 * BERTH_HOT_WINDOW);
    unsigned sent = 0;
    while (ring.send(some_text(1000, sent), sent) == 0)
        sent++;
    CHECK(sent == (ring.capacity - 64) / 1088);
    for (unsigned i = 0; i < sent; i++)
        REQUIRE(ring.receive() == some_text(1000, i));
    CHECK_FALSE(ring.receive());
}

TEST_CASE("a full ring says ENOSPC, loses nothing, and takes frames again once there is room") {
    RingPair ring(4096);
    for (unsigned i = 0; i < 63; i++) // and the room of a JUMP
        REQUIRE(ring.send("", i) == 0);
    CHECK(ring.send("", 99) == -ENOSPC);
    CHECK(ring.send("", 99) == -ENOSPC);
    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(ring.receive());
        CHECK(ring.header.id == i);
    }
    CHECK(ring.send("", 63) == 0);
    CHECK(ring.send("", 99) == -ENOSPC);
    for (unsigned i = 2; i <= 63; i++) {
        REQUIRE(ring.receive());
        CHECK(ring.header.id == i);
    }
    CHECK(ring.peek() == 0);
}

TEST_CASE("an empty ring takes a frame of half its capacity less two lines wherever it stands") {
    for (unsigned before = 0; before < 200; before++) {
        RingPair ring(4096);
        for (unsigned i = 0; i < before; i++) {
            REQUIRE(ring.send("") == 0);
            REQUIRE(ring.receive());
        }
        CHECK(ring.send(std::string(2048 - 128 - BERTH_FRAME_HEADER_SIZE, 'x')) == 0);
        CHECK(ring.receive());
    }
}

TEST_CASE("a reserved frame that is not committed is not seen") {
    RingPair ring(4096);
    uint8_t *room;
    REQUIRE(berth_ring_reserve(&ring.producer, 100, &room) == 0);
    CHECK(ring.peek() == 0);
    CHECK_FALSE(berth_ring_ready(&ring.consumer));
    REQUIRE(ring.send("instead") == 0);
    CHECK(berth_ring_ready(&ring.consumer));
    CHECK(ring.receive() == "instead");
}

TEST_CASE("a peeked frame stays until the consumer advances") {
    RingPair ring(4096);
    REQUIRE(ring.send("one", 1) == 0);
    REQUIRE(ring.send("two", 2) == 0);
    REQUIRE(ring.peek() == 1);
    REQUIRE(ring.peek() == 1);
    CHECK(ring.header.id == 1);
    CHECK(ring.receive() == "one");
    CHECK(ring.receive() == "two");
}
