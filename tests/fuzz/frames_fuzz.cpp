// A consumer on a ring whose every byte and word the producer made up.
// Input: log2 of the capacity, the ring's first bytes (their number before them, 2 bytes), then one tail after another
// (8 bytes each), taken whenever the consumer has nothing left to read.
#include <memory>

#include "fuzz.h"
#include "ring.h"

namespace {

void check_frame(const berth_ring_consumer &c, const berth_frame_header &header, const uint8_t *payload) {
    MUST(header.kind != BERTH_FRAME_JUMP && header.kind < BERTH_FRAME_KIND_COUNT);
    MUST(payload >= c.bytes + BERTH_FRAME_HEADER_SIZE && payload <= c.bytes + c.capacity);
    MUST(header.size <= static_cast<uint64_t>(c.bytes + c.capacity - payload));
    MUST(payload == c.bytes + c.at + BERTH_FRAME_HEADER_SIZE && c.span >= BERTH_FRAME_HEADER_SIZE + header.size);
    MUST(c.at % BERTH_FRAME_ALIGN == 0 && c.span % BERTH_FRAME_ALIGN == 0);
    MUST(c.span <= c.tail_seen - c.head && c.span <= c.capacity - c.at);
    volatile uint8_t sum = 0;
    for (uint32_t i = 0; i < header.size; i++)
        sum = static_cast<uint8_t>(sum ^ payload[i]);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input input(data, size);
    uint64_t capacity = uint64_t{1} << (6 + input.number(1) % 11); // 64 bytes to 64 KiB
    auto bytes = std::make_unique<uint8_t[]>(capacity);
    size_t given = input.number(2);
    input.take(bytes.get(), given < capacity ? given : capacity);

    auto control = std::make_unique<berth_ring_control>();
    std::memset(control.get(), 0, sizeof *control);
    berth_ring_consumer c;
    berth_ring_attach_consumer(&c, control.get(), bytes.get(), capacity);
    for (int turn = 0; turn < 5000; turn++) {
        berth_frame_header header;
        const uint8_t *payload = nullptr;
        uint64_t before = c.head;
        berth_ring_ready(&c);
        int rc = berth_ring_peek(&c, &header, &payload);
        MUST(rc == 1 || rc == 0 || rc == -EBADMSG);
        MUST(c.head >= before && c.head - before <= BERTH_FRAME_ALIGN && c.head % BERTH_FRAME_ALIGN == 0);
        if (rc == -EBADMSG)
            return 0;
        if (rc == 1) {
            check_frame(c, header, payload);
            berth_ring_advance(&c);
            MUST(control->head == c.head && c.at <= capacity);
            continue;
        }
        if (input.empty())
            return 0;
        MUST(berth_ring_prepare_wait(&c, BERTH_ASLEEP_FUTEX) == 1);
        control->tail = input.number(8);
        MUST(berth_ring_prepare_wait(&c, BERTH_ASLEEP_FD) == (control->tail == c.head));
    }
    return 0;
}
