// Any bytes as a segment's header. What is accepted must describe rings that can be used without a second thought.
// Input: size of the mapping (8 bytes), header.
#include "fuzz.h"
#include "shm/segment.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input input(data, size);
    uint64_t mapped = input.number(8);
    berth_segment_header header{};
    input.take(&header, sizeof header);
    if (!berth::check_segment_header(header, mapped).empty())
        return 0;

    MUST(header.major == BERTH_SEGMENT_MAJOR_1 || header.major == BERTH_SEGMENT_MAJOR);
    bool old = header.major == BERTH_SEGMENT_MAJOR_1;
    MUST(header.segment_size == mapped && !(old && header.features));
    for (int i = BERTH_RING_COUNT; i < BERTH_RING_PLACES; i++)
        MUST(header.rings[i].offset == 0 && header.rings[i].capacity == 0);
    MUST(header.max_payload >= 1 && header.max_payload <= BERTH_MAX_PAYLOAD);
    MUST(header.max_in_flight >= 1 && header.max_in_flight <= BERTH_MAX_IN_FLIGHT);
    for (int i = 0; i < BERTH_RING_COUNT; i++) {
        const auto &ring = header.rings[i];
        MUST(ring.capacity >= 4096 && (ring.capacity & (ring.capacity - 1)) == 0);
        MUST(ring.capacity <= BERTH_CAPACITY_LIMIT);
        MUST(i == BERTH_RING_URGENT || ring.capacity / 2 > header.max_payload + BERTH_FRAME_HEADER_SIZE);
        MUST(ring.offset % (old ? 4096 : 65536) == 0 && ring.offset >= (old ? 4096 : 65536));
        MUST(ring.offset <= mapped && ring.capacity <= mapped - ring.offset);
        for (int k = 0; k < i; k++) {
            const auto &other = header.rings[k];
            MUST(ring.offset + ring.capacity <= other.offset || other.offset + other.capacity <= ring.offset);
        }
    }
    return 0;
}
