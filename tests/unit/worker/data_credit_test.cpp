#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "ring.h"
#include "worker/data_credit.h"

using berth::DataCredit;

namespace {

constexpr uint32_t kAll = BERTH_DATA_CREDIT;

uint64_t id(uint32_t slot, uint32_t generation) { return uint64_t{generation} << 32 | slot; }

struct Credit : DataCredit {
    explicit Credit(uint32_t slots = 4) { attach(slots); }
    bool send(uint64_t id, uint32_t cost) {
        bool may = fits(id, cost);
        if (may)
            take(id, cost);
        return may;
    }
};

} // namespace

TEST_CASE("a frame of DATA costs the room that it takes in the ring") {
    CHECK(berth_data_cost(0) == 64);
    CHECK(berth_data_cost(32) == 64);
    CHECK(berth_data_cost(33) == 128);
    CHECK(berth_data_cost(BERTH_MAX_PAYLOAD) == BERTH_MAX_PAYLOAD + 64);
}

TEST_CASE("what fits may go, up to the last byte") {
    Credit credit;
    CHECK(credit.send(id(1, 1), kAll - 64));
    CHECK_FALSE(credit.send(id(1, 1), 128));
    CHECK(credit.send(id(1, 1), 64));
    CHECK_FALSE(credit.send(id(1, 1), 64));
    CHECK(credit.give(id(1, 1), 64));
    CHECK_FALSE(credit.send(id(1, 1), 128));
    CHECK(credit.send(id(1, 1), 64));
}

TEST_CASE("one frame may always go when nothing of its request is on its way, and then nothing else") {
    Credit credit;
    CHECK(credit.send(id(0, 1), 16 * kAll));
    CHECK_FALSE(credit.send(id(0, 1), 64));
    CHECK(credit.give(id(0, 1), 15 * kAll)); // as much is left as there may be
    CHECK_FALSE(credit.send(id(0, 1), 64));
    CHECK(credit.give(id(0, 1), 64));
    CHECK(credit.send(id(0, 1), 64));
    CHECK_FALSE(credit.send(id(0, 1), 16 * kAll));
    CHECK(credit.give(id(0, 1), kAll));
    CHECK(credit.send(id(0, 1), 16 * kAll));
}

TEST_CASE("requests have nothing to do with each other") {
    Credit credit;
    CHECK(credit.send(id(0, 1), kAll));
    CHECK(credit.send(id(1, 1), kAll));
    CHECK(credit.give(id(1, 1), kAll));
    CHECK_FALSE(credit.fits(id(0, 1), 64));
    CHECK(credit.fits(id(1, 1), kAll));
}

TEST_CASE("more than was sent is not given back, and nothing for what is not there") {
    Credit credit;
    CHECK_FALSE(credit.give(id(2, 1), kAll));
    CHECK(credit.send(id(2, 1), kAll / 2));
    CHECK(credit.give(id(2, 1), UINT32_MAX));
    CHECK_FALSE(credit.give(id(2, 1), UINT32_MAX));
    CHECK(credit.send(id(2, 1), kAll));
    CHECK_FALSE(credit.fits(id(2, 1), 64));
    CHECK_FALSE(credit.give(id(2, 1), 0));
    CHECK_FALSE(credit.give(id(4, 1), 64)); // no such slot
    CHECK_FALSE(credit.give(~uint64_t{0}, 64));
}

TEST_CASE("the next request in a slot owes nothing of the one before, whose credit is not its own") {
    Credit credit;
    CHECK(credit.send(id(3, 1), kAll));
    CHECK(credit.send(id(3, 2), kAll));
    CHECK_FALSE(credit.give(id(3, 1), kAll));
    CHECK_FALSE(credit.send(id(3, 2), 64));
    CHECK(credit.give(id(3, 2), kAll));
    CHECK(credit.send(id(3, 2), kAll));
    CHECK(credit.send(id(3, UINT32_MAX), kAll));
    CHECK_FALSE(credit.send(id(3, UINT32_MAX), 64));
}

TEST_CASE("the next lease begins anew, with the same ids, and with more slots or fewer") {
    Credit credit;
    for (uint32_t slots : {4u, 2u, 65536u, 4u}) {
        credit.attach(slots);
        for (uint32_t slot : {0u, slots - 1}) {
            CHECK(credit.send(id(slot, 1), kAll));
            CHECK_FALSE(credit.fits(id(slot, 1), 64));
        }
        CHECK_FALSE(credit.give(id(slots, 1), 64));
    }
}

TEST_CASE("one thread sends while another gives back: none of it is lost") {
    Credit credit;
    constexpr uint32_t kFrames = 200000, kCost = 65536 + 64;
    std::atomic<uint32_t> sent{0};
    std::thread host([&] {
        for (uint32_t given = 0; given < kFrames;)
            if (given < sent.load(std::memory_order_acquire))
                given += credit.give(id(0, 1), kCost);
    });
    for (uint32_t i = 0; i < kFrames; i++) {
        while (!credit.send(id(0, 1), kCost)) {
        }
        sent.store(i + 1, std::memory_order_release);
    }
    host.join();
    CHECK(credit.send(id(0, 1), kAll)); // all was given back
    CHECK_FALSE(credit.fits(id(0, 1), 64));
}
