// Random traffic against a model that knows of every 64 bytes of the ring whether they are unread.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "ring_pair.h"

namespace {

// As REQUIRE, which counts: with millions of them that is most of the time.
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            FAIL(#condition);                                                                                          \
    } while (0)

constexpr uint64_t kUnit = BERTH_FRAME_ALIGN;
constexpr char kFree = 0, kUnread = 1;

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
    Model(uint64_t capacity, unsigned seed) : ring_(capacity), unread_(capacity / kUnit, kFree), random_(seed) {}

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

    // Where the first unit from `at` on is that is `what`; the end if none is.
    uint64_t first(char what, uint64_t at) const { return std::min(unread_.find(what, at), unread_.size()); }

    // Whether `units` are free in a row; with `jump` anywhere but where the JUMP would stand, else at the next place.
    bool free_place(uint64_t units, bool jump) const {
        if (!jump)
            return first(kUnread, next_) - next_ >= units;
        for (uint64_t at = first(kFree, 0); at < unread_.size();) {
            uint64_t end = first(kUnread, at);
            if (at <= next_ && next_ < end)
                end = next_;
            if (end - at >= units)
                return true;
            at = first(kFree, end == next_ ? end + 1 : end);
        }
        return false;
    }

    void mark(const Place &place, char what) { std::memset(unread_.data() + place.at, what, place.units); }

    uint64_t runs() const {
        uint64_t unread_jumps = 0;
        for (const Sent &frame : sent_)
            unread_jumps += frame.places.size() - 1;
        return 1 + unread_jumps;
    }

    // What a frame at `payload` takes. All of it must be free, and 64 bytes behind it for a JUMP.
    std::vector<Place> places(const uint8_t *payload, uint32_t size) {
        auto offset = static_cast<uint64_t>(payload - ring_.bytes.get()) - BERTH_FRAME_HEADER_SIZE;
        MUST(offset % kUnit == 0);
        std::vector<Place> taken{{offset / kUnit, berth_frame_span(size) / kUnit}};
        uint64_t end = taken[0].at + taken[0].units;
        MUST(end < unread_.size());
        MUST(unread_[end] == kFree);
        if (taken[0].at != next_) {
            taken.push_back({next_, 1});
            MUST(!(next_ >= taken[0].at && next_ <= end));
        }
        for (const Place &place : taken)
            MUST(first(kUnread, place.at) >= place.at + place.units);
        MUST(ring_.producer.high_water >= end * kUnit);
        MUST(ring_.producer.high_water <= ring_.capacity);
        return taken;
    }

    uint8_t *reserve(uint32_t size) {
        uint8_t *payload = nullptr;
        int rc = berth_ring_reserve(&ring_.producer, size, &payload);
        if (rc == 0)
            return payload;
        uint64_t units = berth_frame_span(size) / kUnit + 1;
        MUST(rc == -ENOSPC);
        MUST(!free_place(units, false));
        MUST(!(runs() < BERTH_RING_RUNS && free_place(units, true)));
        full++;
        return nullptr;
    }

    bool send(uint32_t size) {
        uint8_t *payload = reserve(size);
        if (!payload)
            return false;
        Sent frame{++id_, size, places(payload, size)};
        for (const Place &place : frame.places) {
            mark(place, kUnread);
            highest_ = std::max(highest_, place.at + place.units);
        }
        MUST(ring_.producer.high_water >= highest_ * kUnit);
        next_ = frame.places[0].at + frame.places[0].units;
        jumps += frame.places.size() - 1;
        std::memset(payload, static_cast<int>(id_ * 31 & 0xff), size);
        berth_frame_header header{size, BERTH_FRAME_REQUEST, 0, id_, ~size, 0, 0};
        berth_ring_commit(&ring_.producer, &header);
        sent_.push_back(std::move(frame));
        most_runs = std::max(most_runs, runs());
        MUST(runs() <= BERTH_RING_RUNS);
        return true;
    }

    // Reserves and thinks better of it. What it wrote there harms nobody.
    void abandon(uint32_t size) {
        if (uint8_t *payload = reserve(size)) {
            places(payload, size);
            std::memset(payload - BERTH_FRAME_HEADER_SIZE, 0xee, berth_frame_span(size));
        }
    }

    void peek() { MUST(ring_.peek() == (sent_.empty() ? 0 : 1)); }

    void receive() {
        peek();
        const Sent &frame = sent_.front();
        MUST(ring_.header.id == frame.id);
        MUST(ring_.header.size == frame.size);
        MUST(ring_.header.code == ~frame.size);
        MUST(static_cast<uint64_t>(ring_.payload - ring_.bytes.get()) ==
                frame.places[0].at * kUnit + BERTH_FRAME_HEADER_SIZE);
        auto byte = static_cast<uint8_t>(frame.id * 31);
        bool whole = frame.size == 0 ||
                     (ring_.payload[0] == byte && std::memcmp(ring_.payload, ring_.payload + 1, frame.size - 1) == 0);
        MUST(whole);
        berth_ring_advance(&ring_.consumer);
        for (const Place &place : frame.places)
            mark(place, kFree);
        sent_.pop_front();
    }

    // Once all is read, a frame of half the capacity but 128 bytes fits, wherever the producer stands.
    void empty() {
        while (!sent_.empty())
            receive();
        peek();
        MUST(send(static_cast<uint32_t>(ring_.capacity / 2 - 2 * kUnit - BERTH_FRAME_HEADER_SIZE)));
        if (below(2) == 0)
            receive();
    }

    RingPair ring_;
    std::string unread_; // a character for each unit
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
