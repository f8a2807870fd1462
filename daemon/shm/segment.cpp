#include "shm/segment.h"

#include <cstring>

#include "shm/memfd.h"

namespace berth {
namespace {

bool power_of_two(uint64_t n) { return n != 0 && (n & (n - 1)) == 0; }

bool is_zero(const berth_ring_geometry &ring) { return ring.offset == 0 && ring.capacity == 0; }

std::string check_ring(const berth_segment_header &header, int ring, uint64_t mapped_size) {
    const auto &g = header.rings[ring];
    uint64_t least = ring == BERTH_RING_URGENT ? 4096 : 2 * (uint64_t{header.max_payload} + 4096);
    bool old = header.major == BERTH_SEGMENT_MAJOR_1;
    uint64_t align = old ? BERTH_RING_ALIGN_1 : BERTH_RING_ALIGN;
    uint64_t first = old ? BERTH_SEGMENT_HEADER_SIZE : BERTH_SEGMENT_HEADER_AREA;
    if (!power_of_two(g.capacity) || g.capacity < least || g.capacity > BERTH_CAPACITY_LIMIT)
        return "ring " + std::to_string(ring) + " has a capacity of " + std::to_string(g.capacity);
    if (g.offset % align || g.offset < first || g.offset > mapped_size || g.capacity > mapped_size - g.offset)
        return "ring " + std::to_string(ring) + " lies outside the segment";
    for (int other = 0; other < ring; other++) {
        const auto &o = header.rings[other];
        if (g.offset < o.offset + o.capacity && o.offset < g.offset + g.capacity)
            return "rings " + std::to_string(other) + " and " + std::to_string(ring) + " overlap";
    }
    return {};
}

// What a host knows (`features`) is its own to say; what it asks for that we do not know is not.
std::string check_reserved(const berth_segment_header &header) {
    for (uint32_t word : header.reserved0)
        if (word)
            return "a reserved word is not zero";
    if (header.major == BERTH_SEGMENT_MAJOR_1 && header.features)
        return "a reserved word is not zero";
    for (int ring = BERTH_RING_COUNT; ring < BERTH_RING_PLACES; ring++)
        if (!is_zero(header.rings[ring]))
            return header.major == BERTH_SEGMENT_MAJOR_1 ? "a reserved word is not zero"
                                                         : "ring " + std::to_string(ring) + " is not known here";
    return {};
}

} // namespace

std::string check_segment_header(const berth_segment_header &header, uint64_t mapped_size) {
    if (header.magic != BERTH_SEGMENT_MAGIC)
        return "no segment: wrong magic";
    if (header.major < BERTH_SEGMENT_MAJOR_LEAST || header.major > BERTH_SEGMENT_MAJOR)
        return "segment version " + std::to_string(header.major) + ", this side speaks " +
               std::to_string(BERTH_SEGMENT_MAJOR_LEAST) + " to " + std::to_string(BERTH_SEGMENT_MAJOR);
    if (header.segment_size != mapped_size)
        return "the segment's size is not what its header says";
    if (header.max_payload == 0 || header.max_payload > BERTH_MAX_PAYLOAD)
        return "a largest payload of " + std::to_string(header.max_payload);
    if (header.max_in_flight == 0 || header.max_in_flight > BERTH_MAX_IN_FLIGHT)
        return "a bound of " + std::to_string(header.max_in_flight) + " requests in flight";
    if (auto why = check_reserved(header); !why.empty())
        return why;
    for (int ring = 0; ring < BERTH_RING_COUNT; ring++)
        if (auto why = check_ring(header, ring, mapped_size); !why.empty())
            return why;
    return {};
}

Result<Segment> Segment::attach(UniqueFd fd) {
    auto memfd = Memfd::adopt(std::move(fd));
    if (!memfd)
        return memfd.error();
    if (memfd->size() < BERTH_SEGMENT_HEADER_SIZE)
        return Error{14, "the segment is smaller than its header"};
    auto region = map_memfd(*memfd);
    if (!region)
        return region.error();
    Segment segment(std::move(*region));
    berth_segment_header copy;
    std::memcpy(&copy, segment.base(), sizeof copy);
    if (auto why = check_segment_header(copy, memfd->size()); !why.empty())
        return Error{14, why};
    segment.major_ = copy.major;
    segment.minor_ = copy.minor;
    segment.max_payload_ = copy.max_payload;
    segment.max_in_flight_ = copy.max_in_flight;
    std::memcpy(segment.rings_, copy.rings, sizeof segment.rings_);
    return segment;
}

bool Segment::claim(uint32_t attempt) const {
    uint32_t free = attempt << 1;
    return __atomic_compare_exchange_n(&header()->lease_claim, &free, free | 1, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

} // namespace berth
