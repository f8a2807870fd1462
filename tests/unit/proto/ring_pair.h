// Both ends of a ring in private memory of exactly its size.
#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "ring.h"

struct RingPair {
    explicit RingPair(uint64_t ring_capacity)
        : capacity(ring_capacity), bytes(new uint8_t[ring_capacity]()), control(new berth_ring_control()) {
        berth_ring_attach_producer(&producer, control.get(), bytes.get(), capacity);
        berth_ring_attach_consumer(&consumer, control.get(), bytes.get(), capacity);
    }

    // 0 or a negative code; the wakeup that fell due is left in `due`.
    int send(const std::string &text, uint64_t id = 1) {
        uint8_t *payload;
        int rc = berth_ring_reserve(&producer, static_cast<uint32_t>(text.size()), &payload);
        if (rc)
            return rc;
        std::memcpy(payload, text.data(), text.size());
        berth_frame_header header{};
        header.size = static_cast<uint32_t>(text.size());
        header.kind = BERTH_FRAME_REQUEST;
        header.id = id;
        header.code = ~header.size;
        due = berth_ring_commit(&producer, &header);
        return 0;
    }

    int peek() { return berth_ring_peek(&consumer, &header, &payload); }

    std::optional<std::string> receive() {
        if (peek() != 1)
            return {};
        std::string text(reinterpret_cast<const char *>(payload), header.size);
        berth_ring_advance(&consumer);
        return text;
    }

    // Writes a header by hand at the consumer's place and publishes `span` bytes.
    void forge(const berth_frame_header &forged, uint64_t span) {
        std::memcpy(bytes.get() + consumer.at, &forged, sizeof forged);
        __atomic_store_n(&control->tail, consumer.head + span, __ATOMIC_RELEASE);
    }

    uint64_t capacity;
    std::unique_ptr<uint8_t[]> bytes;
    std::unique_ptr<berth_ring_control> control;
    berth_ring_producer producer;
    berth_ring_consumer consumer;
    berth_frame_header header{};
    const uint8_t *payload = nullptr;
    uint32_t due = BERTH_AWAKE;
};

inline std::string some_text(size_t size, unsigned seed) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; i++)
        text[i] = static_cast<char>(seed * 31 + i * 7 + (i >> 8));
    return text;
}
