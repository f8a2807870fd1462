// Random traffic against a model that knows of every 64 bytes of the ring whether they are unread.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "ring_pair.h"

namespace {

constexpr uint64_t kUnit = BERTH_FRAME_ALIGN;

struct Place {
    uint64_t at, units;
};

struct Sent {
    uint64_t id;
    uint32_t size;
    std::vector<Place> places; // the frame's, and that of the JUMP before it
};

class Model {
  public:
    Model(uint64_t capacity, unsigned seed) : ring_(capacity), unread_(capacity / kUnit), random_(seed) {}

    void run(int steps) {
        uint64_t lag = 0; // frames that the consumer leaves unread
        for (int step = 0; step < steps; step++) {
            if (below(200) == 0)
                lag = below(3) == 0 ? 0 : below(2) == 0 ? below(20) : below(2000);
            for (uint64_t i = 1 + below(below(8) == 0 ? 60 : 4); i > 0; i--)
                send(size());
            if (below(12) == 0)
                abandon(size());
            if (below(6) == 0)
                peek(); // perhaps past a JUMP
            while (sent_.size() > lag && below(40) != 0)
                receive();
            if (below(300) == 0)
                empty();
        }
        empty();
    }

    uint64_t jumps = 0, full = 0, most_runs = 0;

  private:
    uint64_t below(uint64_t n) { return random_() % n; }

    uint32_t size() {
        uint64_t most = ring_.capacity / 2 - 2 * kUnit - BERTH_FRAME_HEADER_SIZE;
        uint64_t kind = below(16);
        return static_cast<uint32_t>(kind < 10 ? below(200) : kind < 15 ? below(most / 16) : below(most + 1));
    }

    // Whether `units` are free in a row; with `jump` anywhere but where the JUMP would stand, else at the next place.
    bool free_place(uint64_t units, bool jump) const {
        uint64_t free = 0;
        for (uint64_t i = jump ? 0 : next_; i < unread_.size(); i++) {
            free = unread_[i] || (jump && i == next_) ? 0 : free + 1;
            if (free == units)
                return true;
            if (!jump && free == 0)
                return false;
        }
        return false;
    }

    uint64_t runs() const {
        uint64_t unread_jumps = 0;
        for (const Sent &frame : sent_)
            unread_jumps += frame.places.size() - 1;
        return 1 + unread_jumps;
    }

    // What a frame at `payload` takes. All of it must be free, and 64 bytes behind it for a JUMP.
    std::vector<Place> places(const uint8_t *payload, uint32_t size) {
        auto offset = static_cast<uint64_t>(payload - ring_.bytes.get()) - BERTH_FRAME_HEADER_SIZE;
        REQUIRE(offset % kUnit == 0);
        std::vector<Place> taken{{offset / kUnit, berth_frame_span(size) / kUnit}};
        uint64_t end = taken[0].at + taken[0].units;
        REQUIRE(end < unread_.size());
        REQUIRE_FALSE(unread_[end]);
        if (taken[0].at != next_) {
            taken.push_back({next_, 1});
            REQUIRE_FALSE((next_ >= taken[0].at && next_ <= end));
        }
        bool overlap = false;
        for (const Place &place : taken)
            for (uint64_t i = 0; i < place.units; i++)
                overlap = overlap || unread_[place.at + i];
        REQUIRE_FALSE(overlap);
        REQUIRE(ring_.producer.high_water >= end * kUnit);
        REQUIRE(ring_.producer.high_water <= ring_.capacity);
        return taken;
    }

    uint8_t *reserve(uint32_t size) {
        uint8_t *payload = nullptr;
        int rc = berth_ring_reserve(&ring_.producer, size, &payload);
        if (rc == 0)
            return payload;
        uint64_t units = berth_frame_span(size) / kUnit + 1;
        REQUIRE(rc == -ENOSPC);
        REQUIRE_FALSE(free_place(units, false));
        REQUIRE_FALSE((runs() < BERTH_RING_RUNS && free_place(units, true)));
        full++;
        return nullptr;
    }

    bool send(uint32_t size) {
        uint8_t *payload = reserve(size);
        if (!payload)
            return false;
        Sent frame{++id_, size, places(payload, size)};
        for (const Place &place : frame.places) {
            std::fill_n(unread_.begin() + static_cast<std::ptrdiff_t>(place.at), place.units, true);
            highest_ = std::max(highest_, place.at + place.units);
        }
        REQUIRE(ring_.producer.high_water >= highest_ * kUnit);
        next_ = frame.places[0].at + frame.places[0].units;
        jumps += frame.places.size() - 1;
        std::memset(payload, static_cast<int>(id_ * 31 & 0xff), size);
        berth_frame_header header{size, BERTH_FRAME_REQUEST, 0, id_, ~size, 0, 0};
        berth_ring_commit(&ring_.producer, &header);
        sent_.push_back(std::move(frame));
        most_runs = std::max(most_runs, runs());
        REQUIRE(runs() <= BERTH_RING_RUNS);
        return true;
    }

    // Reserves and thinks better of it. What it wrote there harms nobody.
    void abandon(uint32_t size) {
        if (uint8_t *payload = reserve(size)) {
            places(payload, size);
            std::memset(payload - BERTH_FRAME_HEADER_SIZE, 0xee, berth_frame_span(size));
        }
    }

    void peek() { REQUIRE(ring_.peek() == (sent_.empty() ? 0 : 1)); }

    void receive() {
        peek();
        const Sent &frame = sent_.front();
        REQUIRE(ring_.header.id == frame.id);
        REQUIRE(ring_.header.size == frame.size);
        REQUIRE(ring_.header.code == ~frame.size);
        REQUIRE(static_cast<uint64_t>(ring_.payload - ring_.bytes.get()) ==
                frame.places[0].at * kUnit + BERTH_FRAME_HEADER_SIZE);
        auto byte = static_cast<uint8_t>(frame.id * 31);
        bool whole = frame.size == 0 ||
                     (ring_.payload[0] == byte && std::memcmp(ring_.payload, ring_.payload + 1, frame.size - 1) == 0);
        REQUIRE(whole);
        berth_ring_advance(&ring_.consumer);
        for (const Place &place : frame.places)
            std::fill_n(unread_.begin() + static_cast<std::ptrdiff_t>(place.at), place.units, false);
        sent_.pop_front();
    }

    // Once all is read, a frame of half the capacity but 128 bytes fits, wherever the producer stands.
    void empty() {
        while (!sent_.empty())
            receive();
        peek();
        REQUIRE(send(static_cast<uint32_t>(ring_.capacity / 2 - 2 * kUnit - BERTH_FRAME_HEADER_SIZE)));
        if (below(2) == 0)
            receive();
    }

    RingPair ring_;
    std::vector<bool> unread_;
    std::deque<Sent> sent_;
    uint64_t next_ = 0; // unit behind the newest frame
    uint64_t highest_ = 0, id_ = 0;
    std::mt19937 random_;
};

} // namespace

TEST_CASE("random traffic: nothing unread is overwritten, nothing is lost, and ENOSPC only without a place") {
    for (uint64_t capacity = 4096; capacity <= 8 * BERTH_HOT_WINDOW; capacity *= 2)
        for (unsigned seed = 1; seed <= 4; seed++) {
            CAPTURE(capacity);
            CAPTURE(seed);
            Model model(capacity, seed);
            model.run(2500);
            CHECK(model.jumps > 100);
            CHECK(model.full > 100);
            CHECK(model.most_runs == BERTH_RING_RUNS);
        }
}
