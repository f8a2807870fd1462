// A mapped segment that came from a host: checked once, and from then on described by private copies.
#pragma once

#include <boost/interprocess/mapped_region.hpp>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ring_abi.h"

namespace berth {

class Segment {
  public:
    // Maps the host's memfd and checks seals, size, magic, version, geometry and reserved words.
    static Result<Segment> attach(UniqueFd memfd);

    uint32_t major() const { return major_; }
    uint32_t minor() const { return minor_; }
    uint32_t max_payload() const { return max_payload_; }
    uint32_t max_in_flight() const { return max_in_flight_; }
    berth_ring_control *control(berth_ring_name ring) const { return &header()->control[ring]; }
    uint8_t *bytes(berth_ring_name ring) const { return base() + rings_[ring].offset; }
    uint64_t capacity(berth_ring_name ring) const { return rings_[ring].capacity; }
    berth_segment_header *header() const { return reinterpret_cast<berth_segment_header *>(base()); }

    // Takes the lease for this attempt of the host's to open. False: the host has withdrawn it, and the segment is
    // another worker's.
    bool claim(uint32_t attempt) const;

  private:
    explicit Segment(boost::interprocess::mapped_region region) : region_(std::move(region)) {}
    uint8_t *base() const { return static_cast<uint8_t *>(region_.get_address()); }
    boost::interprocess::mapped_region region_;
    uint32_t major_ = 0, minor_ = 0;
    uint32_t max_payload_ = 0;
    uint32_t max_in_flight_ = 0;
    berth_ring_geometry rings_[BERTH_RING_COUNT] = {};
};

// The check itself, on a private copy of the header: a reason, or an empty text.
std::string check_segment_header(const berth_segment_header &header, uint64_t mapped_size);

} // namespace berth
