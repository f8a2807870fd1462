// A channel over bare memory, and the other end of its rings: no daemon, no process, no socket.
#ifndef BERTH_TESTS_MADE_UP_WORKER_H
#define BERTH_TESTS_MADE_UP_WORKER_H

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

extern "C" {
#include "base/raw_io.h"
#include "channel/baton.h"
#include "channel/channel.h"
#include "channel/data.h"
#include "channel/drain.h"
#include "channel/progress.h"
#include "channel/settle.h"
#include "channel/submit.h"
#include "channel/urgent.h"
#include "channel/wait.h"
}

namespace berth::test {

// What the channel finds out.
struct Owner {
    channel *of = nullptr;
    std::atomic<int> created{0}, closed{0}, broken{0}, settled{0}, over{0};
    std::atomic<uint64_t> cut_off{0};
    std::string text;
};

inline const channel_owner kOwnerCalls = {
    .created = [](void *owner, uint32_t, const void *, size_t) { static_cast<Owner *>(owner)->created++; },
    .closed =
        [](void *self, uint32_t, const void *text, size_t len) {
            auto &owner = *static_cast<Owner *>(self);
            owner.closed++;
            owner.text.assign(static_cast<const char *>(text), len);
            pthread_mutex_lock(&owner.of->submit_lock);
            verdict_give(&owner.of->verdict, BERTH_RET_RECYCLED, text, len, 0);
            pthread_mutex_unlock(&owner.of->submit_lock);
        },
    .broken =
        [](void *self, const char *text) {
            auto &owner = *static_cast<Owner *>(self);
            owner.broken++;
            owner.text = text;
            pthread_mutex_lock(&owner.of->submit_lock);
            verdict_give(&owner.of->verdict, BERTH_RET_PROTOCOL, text, std::strlen(text), 0);
            pthread_mutex_unlock(&owner.of->submit_lock);
        },
    .settled =
        [](void *self, uint64_t cut_off) {
            static_cast<Owner *>(self)->settled++;
            static_cast<Owner *>(self)->cut_off = cut_off;
        },
    .over = [](void *self) { static_cast<Owner *>(self)->over++; },
    .waits = [](void *) {},
    .look_again = [](void *, uint64_t) {},
};

struct Channel {
    channel *c = static_cast<channel *>(aligned_alloc(128, (sizeof(channel) + 127) & ~size_t(127)));
    Owner owner;
    channel_spare none = {};
    int segment_fd = -1;

    explicit Channel(uint32_t in_flight = 16, bool for_restart = false) {
        std::memset(static_cast<void *>(c), 0, sizeof *c);
        owner.of = c;
        ok = channel_init(c, in_flight, for_restart, &kOwnerCalls, &owner, &none, &segment_fd) == 0;
    }
    ~Channel() {
        channel_deinit(c);
        close(segment_fd);
        std::free(c);
    }
    Channel(const Channel &) = delete;
    Channel &operator=(const Channel &) = delete;

    request *submit(request_options options, uint64_t *id = nullptr, int *ret = nullptr) {
        request *out = nullptr;
        int rc = channel_submit(c, BERTH_FRAME_REQUEST, 7, "hi", 2, &options, &out, id);
        if (ret)
            *ret = rc;
        return rc == 0 ? out : nullptr;
    }
    void give_verdict(uint32_t ret, const char *text) {
        pthread_mutex_lock(&c->submit_lock);
        verdict_give(&c->verdict, ret, text, std::strlen(text), 0);
        pthread_mutex_unlock(&c->submit_lock);
    }
    int drain(request *own = nullptr, reap_sink *sink = nullptr, int most = DRAIN_BATCH) {
        if (!baton_take(c))
            return -1;
        int taken = channel_drain(c, own, sink, most);
        channel_leave(c);
        return taken;
    }
    completion *take_reaped() { return outbox_take(&c->outbox, &c->slots, &c->outbox.for_reap); }

    bool ok;
};

// Reads requests and writes answers as a worker does, or as none does.
class MadeUpWorker {
public:
    explicit MadeUpWorker(Channel &channel) : header_(channel.c->segment.header) {
        uint64_t capacity;
        uint8_t *bytes = segment_ring(&channel.c->segment, BERTH_RING_REQUEST, &capacity);
        berth_ring_attach_consumer(&requests_, &header_->control[BERTH_RING_REQUEST], bytes, capacity);
        bytes = segment_ring(&channel.c->segment, BERTH_RING_REPLY, &capacity);
        berth_ring_attach_producer(&replies_, &header_->control[BERTH_RING_REPLY], bytes, capacity);
        bytes = segment_ring(&channel.c->segment, BERTH_RING_URGENT, &capacity);
        berth_ring_attach_consumer(&urgent_, &header_->control[BERTH_RING_URGENT], bytes, capacity);
    }

    // The id of the next request, 0: there is none.
    uint64_t take() { return take_from(requests_).id; }
    berth_frame_header take_urgent() { return take_from(urgent_); }

    // 0, or -ENOSPC.
    int send(uint16_t kind, uint64_t id, uint32_t code, const std::string &payload) {
        uint8_t *to;
        int rc = berth_ring_reserve(&replies_, static_cast<uint32_t>(payload.size()), &to);
        if (rc)
            return rc;
        std::memcpy(to, payload.data(), payload.size());
        berth_frame_header header = {static_cast<uint32_t>(payload.size()), kind, 0, id, code, 0, 0};
        if (berth_ring_commit(&replies_, &header) == BERTH_ASLEEP_FUTEX)
            berth_ring_wake_futex(replies_.control);
        return 0;
    }
    int answer(uint64_t id, const std::string &payload, uint32_t ret = BERTH_RET_OK) {
        return send(BERTH_FRAME_REPLY, id, ret, payload);
    }

private:
    static berth_frame_header take_from(berth_ring_consumer &ring) {
        berth_frame_header header{};
        const uint8_t *payload;
        if (berth_ring_peek(&ring, &header, &payload) <= 0)
            return {};
        berth_ring_advance(&ring);
        return header;
    }

    berth_segment_header *header_;
    berth_ring_consumer requests_, urgent_;
    berth_ring_producer replies_;
};

} // namespace berth::test

#endif
