#include <doctest/doctest.h>

#include <cstring>
#include <fcntl.h>
#include <functional>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/memfd.h"
#include "shm/segment.h"

namespace {

constexpr uint64_t kSmall = 16384;

// Three rings of 16 KiB and an urgent one of 4 KiB behind the header: a small but lawful segment.
berth_segment_header small_header(uint16_t major = BERTH_SEGMENT_MAJOR_1) {
    berth_segment_header header{};
    bool old = major == BERTH_SEGMENT_MAJOR_1;
    uint64_t at = old ? 4096 : 65536, align = at;
    header.magic = BERTH_SEGMENT_MAGIC;
    header.major = major;
    header.max_payload = 1000;
    header.max_in_flight = 16;
    for (int i = 0; i < BERTH_RING_COUNT; i++) {
        header.rings[i] = {at, i == BERTH_RING_URGENT ? 4096 : kSmall};
        at += (header.rings[i].capacity + align - 1) / align * align;
    }
    header.segment_size = at;
    return header;
}

std::string why(const std::function<void(berth_segment_header &)> &change, uint16_t major = BERTH_SEGMENT_MAJOR_1) {
    auto header = small_header(major);
    uint64_t mapped = header.segment_size;
    change(header);
    return berth::check_segment_header(header, mapped);
}

berth::UniqueFd write_segment(const berth_segment_header &header, uint64_t size, unsigned seals) {
    berth::UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    REQUIRE(fd);
    REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(size)) == 0);
    REQUIRE(::pwrite(fd.get(), &header, std::min<size_t>(sizeof header, size), 0) > 0);
    if (seals)
        REQUIRE(::fcntl(fd.get(), F_ADD_SEALS, seals) == 0);
    return fd;
}

constexpr unsigned kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::string why_2(const std::function<void(berth_segment_header &)> &change) { return why(change, 2); }

std::string attach_error(berth::UniqueFd fd) {
    auto segment = berth::Segment::attach(std::move(fd));
    return segment ? "" : segment.error().text;
}

} // namespace

TEST_CASE("a lawful header is accepted") {
    CHECK(why([](auto &) {}) == "");
    CHECK(why([](auto &h) { h.minor = 7; }) == "");
    CHECK(why_2([](auto &) {}) == "");
    CHECK(why_2([](auto &h) { h.minor = 7; }) == "");
    CHECK(why_2([](auto &h) { h.features = ~uint64_t{0}; }) == ""); // what a host knows that we do not
}

TEST_CASE("the rings that a host makes by default are lawful in either major") {
    for (uint16_t major : {uint16_t{BERTH_SEGMENT_MAJOR_1}, uint16_t{BERTH_SEGMENT_MAJOR}}) {
        auto header = small_header(major);
        header.max_payload = BERTH_MAX_PAYLOAD;
        header.segment_size = berth_default_size(major);
        for (uint32_t i = 0; i < BERTH_RING_COUNT; i++)
            header.rings[i] = {berth_default_offset(major, i), berth_default_capacity(i)};
        CHECK(berth::check_segment_header(header, header.segment_size) == "");
        CHECK(header.rings[3].offset + header.rings[3].capacity == header.segment_size);
        CHECK(header.rings[0].offset == (major == 1 ? 4096 : 65536));
    }
}

TEST_CASE("each word of the header is checked") {
    CHECK(why([](auto &h) { h.magic++; }) == "no segment: wrong magic");
    CHECK(why([](auto &h) { h.major = 0; }) == "segment version 0, this side speaks 1 to 2");
    CHECK(why([](auto &h) { h.major = 3; }) == "segment version 3, this side speaks 1 to 2");
    CHECK(why([](auto &h) { h.segment_size += 4096; }) == "the segment's size is not what its header says");
    CHECK(why([](auto &h) { h.max_payload = 0; }) == "a largest payload of 0");
    CHECK(why([](auto &h) { h.max_payload = BERTH_MAX_PAYLOAD + 1; }) == "a largest payload of 16777217");
    CHECK(why([](auto &h) { h.max_in_flight = 0; }) == "a bound of 0 requests in flight");
    CHECK(why([](auto &h) { h.max_in_flight = 65537; }) == "a bound of 65537 requests in flight");
    const char *reserved = "a reserved word is not zero";
    for (int i = 0; i < 26; i++)
        CHECK(why([i](auto &h) { reinterpret_cast<uint32_t *>(&h)[88 / 4 + i] = 1; }) == reserved);
}

TEST_CASE("major 2 asks for no ring that is not known here, and for nothing that is reserved") {
    for (int i = 0; i < 16; i++)
        CHECK(why_2([i](auto &h) { h.reserved0[i] = 1; }) == "a reserved word is not zero");
    CHECK(why_2([](auto &h) { h.rings[4].offset = 65536; }) == "ring 4 is not known here");
    CHECK(why_2([](auto &h) { h.rings[4].capacity = 1; }) == "ring 4 is not known here");
    CHECK(why_2([](auto &h) { h.rings[5] = {h.rings[3].offset, 4096}; }) == "ring 5 is not known here");
}

TEST_CASE("in major 2 a ring begins at a multiple of 64 KiB, behind the header's area") {
    CHECK(why_2([](auto &h) { h.rings[0].offset -= 4096; }) == "ring 0 lies outside the segment");
    CHECK(why_2([](auto &h) { h.rings[0].offset = 4096; }) == "ring 0 lies outside the segment");
    CHECK(why_2([](auto &h) { h.rings[0].offset = 0; }) == "ring 0 lies outside the segment");
    CHECK(why_2([](auto &h) { h.rings[3].offset += 65536; }) == "ring 3 lies outside the segment");
    CHECK(why_2([](auto &h) { h.rings[1].offset = h.rings[2].offset; }) == "rings 1 and 2 overlap");
    CHECK(why_2([](auto &h) { h.major = BERTH_SEGMENT_MAJOR_1; }) == "");
    CHECK(why([](auto &h) { h.major = BERTH_SEGMENT_MAJOR; }) == "ring 0 lies outside the segment");
}

TEST_CASE("a ring's capacity is a power of two with room for two of the largest frames") {
    CHECK(why([](auto &h) { h.rings[0].capacity = 0; }) == "ring 0 has a capacity of 0");
    CHECK(why([](auto &h) { h.rings[1].capacity = kSmall - 64; }) == "ring 1 has a capacity of 16320");
    CHECK(why([](auto &h) { h.rings[2].capacity = 4096; }) == "ring 2 has a capacity of 4096");
    CHECK(why([](auto &h) { h.rings[3].capacity = 2048; }) == "ring 3 has a capacity of 2048");
    CHECK(why([](auto &h) { h.max_payload = 8000; }) == "ring 0 has a capacity of 16384");
    CHECK(why([](auto &h) { h.rings[0].capacity = uint64_t{1} << 32; }) == "ring 0 has a capacity of 4294967296");
}

TEST_CASE("a ring lies on a page of its own, inside the segment") {
    CHECK(why([](auto &h) { h.rings[0].offset = 0; }) == "ring 0 lies outside the segment");
    CHECK(why([](auto &h) { h.rings[0].offset += 64; }) == "ring 0 lies outside the segment");
    CHECK(why([](auto &h) { h.rings[3].offset += 4096; }) == "ring 3 lies outside the segment");
    CHECK(why([](auto &h) { h.rings[3].offset = ~uint64_t{4095}; }) == "ring 3 lies outside the segment");
    CHECK(why([](auto &h) { h.rings[0].offset = uint64_t{1} << 63; }) == "ring 0 lies outside the segment");
}

TEST_CASE("no two rings share a byte") {
    CHECK(why([](auto &h) { h.rings[1].offset = h.rings[0].offset; }) == "rings 0 and 1 overlap");
    CHECK(why([](auto &h) { h.rings[2].offset -= 4096; }) == "rings 1 and 2 overlap");
    CHECK(why([](auto &h) { std::swap(h.rings[0].offset, h.rings[1].offset); }) == "");
}

TEST_CASE("a sealed memfd with a lawful header is attached, and described by copies") {
    auto header = small_header();
    auto segment = berth::Segment::attach(write_segment(header, header.segment_size, kSeals));
    REQUIRE(segment);
    CHECK(segment->major() == 1);
    CHECK(segment->max_payload() == 1000);
    CHECK(segment->max_in_flight() == 16);
    segment->header()->rings[BERTH_RING_REPLY].capacity = 1;
    segment->header()->max_payload = 0;
    CHECK(segment->capacity(BERTH_RING_REPLY) == kSmall);
    CHECK(segment->max_payload() == 1000);
    auto *base = reinterpret_cast<uint8_t *>(segment->header());
    CHECK((segment->bytes(BERTH_RING_REPLY) == base + BERTH_SEGMENT_HEADER_SIZE + kSmall));
    CHECK((reinterpret_cast<uint8_t *>(segment->control(BERTH_RING_REQUEST)) == base + 2048));
}

TEST_CASE("a segment of major 2 is attached; one shorter than its area is not") {
    auto header = small_header(BERTH_SEGMENT_MAJOR);
    auto segment = berth::Segment::attach(write_segment(header, header.segment_size, kSeals));
    REQUIRE(segment);
    CHECK(segment->major() == 2);
    auto *base = reinterpret_cast<uint8_t *>(segment->header());
    CHECK((segment->bytes(BERTH_RING_REPLY) == base + 2 * 65536));
    header.segment_size = 32768;
    CHECK(attach_error(write_segment(header, header.segment_size, kSeals)) == "ring 0 lies outside the segment");
}

TEST_CASE("what is not a memfd with its size sealed is refused") {
    auto header = small_header();
    const char *unsealed = "the segment is not a memfd with its size sealed";
    CHECK(attach_error(write_segment(header, header.segment_size, 0)) == unsealed);
    CHECK(attach_error(write_segment(header, header.segment_size, F_SEAL_SHRINK | F_SEAL_GROW)) == unsealed);
    CHECK(attach_error(berth::UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC))) == unsealed);
    CHECK(attach_error(berth::UniqueFd(::eventfd(0, EFD_CLOEXEC))) == unsealed);
    CHECK(attach_error(berth::UniqueFd()) == unsealed);
    CHECK(attach_error(write_segment(header, header.segment_size, kSeals | F_SEAL_WRITE)) ==
          "the segment is sealed against writing");
    CHECK(attach_error(write_segment(header, 100, kSeals)) == "the segment is smaller than its header");
    CHECK(attach_error(write_segment(header, header.segment_size + 4096, kSeals)) ==
          "the segment's size is not what its header says");
}

TEST_CASE("a memfd made here can neither shrink nor grow, and is adopted") {
    auto memfd = berth::Memfd::create("test", 8192);
    REQUIRE(memfd);
    CHECK(memfd->size() == 8192);
    CHECK(::ftruncate(memfd->fd(), 4096) == -1);
    CHECK(::ftruncate(memfd->fd(), 16384) == -1);
    CHECK((::fcntl(memfd->fd(), F_GETFD) & FD_CLOEXEC) != 0);
    auto adopted = berth::Memfd::adopt(memfd->release());
    REQUIRE(adopted);
    CHECK(adopted->size() == 8192);
}
