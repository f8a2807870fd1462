// Segments, as a hostile side holds them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ring_abi.h"

namespace berth::test {

// The segments that libberth has mapped into this process, for a test that plays a hostile worker.
std::vector<berth_segment_header *> mapped_segments();

// A host's segment and eventfds, with every word under the test's control.
class RawSegment {
  public:
    RawSegment();
    ~RawSegment();
    RawSegment(const RawSegment &) = delete;
    std::vector<int> fds() const { return {memfd_, eventfd_, doorbell_}; }
    berth_segment_header &header() { return *header_; }
    uint8_t *bytes(berth_ring_name ring) { return reinterpret_cast<uint8_t *>(header_) + header_->rings[ring].offset; }
    // Writes a frame behind the last one, as it is, and publishes it.
    void publish(berth_ring_name ring, const berth_frame_header &frame, const std::string &payload = "");
    void publish_tail(berth_ring_name ring, uint64_t tail);

  private:
    int memfd_, eventfd_, doorbell_;
    berth_segment_header *header_;
    uint64_t size_;
    uint64_t tails_[BERTH_RING_COUNT] = {};
};

} // namespace berth::test
