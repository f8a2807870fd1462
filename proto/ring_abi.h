/* The bytes that host and worker share: the segment, its header page and its rings.
 *
 * This header is the only definition of the layout; ring.md says in prose what each word means, who writes it and
 * what a reader may believe. Plain fixed-width fields, compiled as C11 and as C++20; every access to a word that both
 * sides touch goes through the __atomic builtins in ring.h. All integers are in the machine's own byte order: both
 * ends run on one machine. Reserved words are zero. */
#ifndef BERTH_PROTO_RING_ABI_H
#define BERTH_PROTO_RING_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define BERTH_ABI_ASSERT(condition, text) static_assert(condition, text)
#else
#define BERTH_ABI_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define BERTH_SEGMENT_MAGIC 0x48545242u /* "BRTH" */
#define BERTH_SEGMENT_MAJOR 2u          /* what hosts make now; a worker refuses what it does not know */
#define BERTH_SEGMENT_MINOR 0u          /* minors give meaning to reserved words, and add kinds */
#define BERTH_SEGMENT_MAJOR_LEAST 1u    /* hosts are older than the daemon: a worker speaks these, too */
#define BERTH_SEGMENT_MAJOR_1 1u        /* of a host that knows no other */
#define BERTH_SEGMENT_MINOR_1 1u        /* the last minor of major 1 */

#define BERTH_SEGMENT_HEADER_SIZE 4096u /* of the words below; in major 1 the first ring can begin behind it */
#define BERTH_SEGMENT_HEADER_AREA 65536u /* major 2: what lies before the first ring; from 4096 on reserved */
#define BERTH_RING_ALIGN_1 4096u        /* major 1: where rings begin */
#define BERTH_RING_ALIGN 65536u         /* major 2: the largest page there is, so that any kernel can take pages back */
#define BERTH_FRAME_ALIGN 64u
#define BERTH_FRAME_HEADER_SIZE 32u
#define BERTH_MAX_PAYLOAD (16u << 20)
#define BERTH_MAX_IN_FLIGHT 65536u
#define BERTH_DATA_CREDIT (1u << 20) /* DATA of one request that is on its way, as berth_data_cost counts it */
#define BERTH_HOT_WINDOW (256u << 10) /* bytes after which a producer starts again at offset 0 when it can */

/* Room for a few frames of the largest payload; address space, not memory. The urgent ring carries only empty frames
 * and is small. Capacities are powers of two. */
#define BERTH_RING_CAPACITY ((uint64_t)64 << 20)
#define BERTH_URGENT_CAPACITY ((uint64_t)64 << 10)
#define BERTH_CAPACITY_LIMIT ((uint64_t)1 << 31)

enum berth_ring_name {
    BERTH_RING_REQUEST = 0, /* host → worker's library thread */
    BERTH_RING_REPLY = 1,   /* worker → host */
    BERTH_RING_EVENT = 2,   /* worker → host */
    BERTH_RING_URGENT = 3,  /* host → worker's control thread: what must not queue behind a busy library */
    BERTH_RING_COUNT = 4,
    /* Of a later time: a module's calls back into its host. No segment has them yet. */
    BERTH_RING_CALLBACK = 4, /* worker → host */
    BERTH_RING_ANSWER = 5,   /* host → worker: what the host answers to them */
    BERTH_RING_PLACES = 6    /* in the header */
};

enum berth_waiting {
    BERTH_AWAKE = 0,
    BERTH_ASLEEP_FUTEX = 1, /* in FUTEX_WAIT on `waiting` itself */
    BERTH_ASLEEP_FD = 2     /* in a poller of its own: the wakeup is a byte in the wake socket (major 1: its eventfd) */
};

enum berth_frame_kind {
    BERTH_FRAME_JUMP = 0,    /* the next frame stands at offset `id` */
    BERTH_FRAME_CREATE = 1,  /* request: payload is the context's configuration; always the first frame */
    BERTH_FRAME_REQUEST = 2, /* request: code is the method's id */
    BERTH_FRAME_REPLY = 3,   /* reply: code is a berth_ret */
    BERTH_FRAME_EVENT = 4,   /* event: code is the length of the name, which heads the payload */
    BERTH_FRAME_CANCEL = 5,  /* urgent: id names the request */
    BERTH_FRAME_CLOSE = 6,   /* urgent: no more requests will come */
    BERTH_FRAME_CLOSED = 7,  /* reply, the last: code is a berth_outcome, id how many requests were cut off */
    BERTH_FRAME_PROGRESS = 8, /* reply, from minor 1 of major 1 on: a request is still being worked on */
    BERTH_FRAME_DATA = 9,    /* reply, from major 2 on: what a request's module sends before its REPLY */
    BERTH_FRAME_CREDIT = 10, /* urgent, from major 2 on: id names the request, code is how much of its DATA is read */
    BERTH_FRAME_KIND_COUNT = 11
};

enum berth_outcome { BERTH_DRAINED = 0, BERTH_CANCELLED = 1, BERTH_KILLED = 2 };

struct berth_frame_header {
    uint32_t size; /* payload bytes that follow, 0 to BERTH_MAX_PAYLOAD */
    uint16_t kind; /* enum berth_frame_kind */
    uint16_t flags; /* zero */
    uint64_t id;   /* request: low half its slot (below max_in_flight), high half the slot's generation, never 0 */
    uint32_t code; /* method id, berth_ret, name length, outcome or credit: see the kinds */
    uint32_t reserved0;
    uint64_t stamp; /* a time, or zero; major 1: zero. Who does not use it makes nothing of it */
};
BERTH_ABI_ASSERT(sizeof(struct berth_frame_header) == BERTH_FRAME_HEADER_SIZE, "frame header");
BERTH_ABI_ASSERT(offsetof(struct berth_frame_header, kind) == 4, "frame header");
BERTH_ABI_ASSERT(offsetof(struct berth_frame_header, id) == 8, "frame header");
BERTH_ABI_ASSERT(offsetof(struct berth_frame_header, code) == 16, "frame header");
BERTH_ABI_ASSERT(offsetof(struct berth_frame_header, reserved0) == 20, "frame header");
BERTH_ABI_ASSERT(offsetof(struct berth_frame_header, stamp) == 24, "frame header");

/* Three lines of 128 bytes (adjacent-line prefetch pulls 64-byte lines in pairs): one per writer, and one for the word
 * that only changes when somebody sleeps, so that a busy producer reads it from its own cache. */
struct berth_ring_control {
    uint64_t tail; /* producer writes: bytes ever published */
    uint64_t reserved0[15];
    uint64_t head; /* consumer writes: bytes ever consumed */
    uint64_t reserved1[15];
    uint32_t waiting; /* enum berth_waiting; consumer sets it, producer clears it when it wakes */
    uint32_t reserved2[31];
};
BERTH_ABI_ASSERT(sizeof(struct berth_ring_control) == 384, "ring control");
BERTH_ABI_ASSERT(offsetof(struct berth_ring_control, head) == 128, "ring control");
BERTH_ABI_ASSERT(offsetof(struct berth_ring_control, waiting) == 256, "ring control");

struct berth_ring_geometry {
    uint64_t offset;   /* of the ring's bytes in the segment, a multiple of 64 KiB (major 1: of 4096) */
    uint64_t capacity; /* bytes, a power of two */
};

struct berth_segment_header {
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    uint64_t segment_size;
    uint32_t max_payload;
    uint32_t max_in_flight;
    struct berth_ring_geometry rings[BERTH_RING_PLACES]; /* zero: not there */
    uint64_t features; /* host, major 2: bits of what it understands; none is given out yet */
    uint32_t reserved0[16];

    /* Words that change while the context lives. */
    uint32_t events_wanted; /* host: 0 nobody listens, so the worker need not send */
    uint32_t closing;       /* both: 1 once the context is to end; the host sends no more requests */
    uint32_t reserved1[14];
    uint64_t events_taken; /* host: events read, ever */
    uint32_t reserved7[14];
    uint64_t events_dropped; /* worker: events that found the event queue full, ever */
    uint32_t events_stuck;   /* worker: 1 once an overflow is for good */
    uint32_t reserved2[13];
    uint64_t handler_turns; /* worker: how often its library thread went into a handler or came out; odd inside */
    uint32_t reserved8[14];

    uint64_t worker_features; /* worker, once, major 2: bits of what it understands; none is given out yet */
    uint32_t reserved3[14];
    uint64_t requests_submitted; /* host: requests sent, ever; for the status only */
    uint32_t lease_claim; /* attempt << 1, and 1 once a worker took the lease; both sides, by compare-and-swap */
    uint32_t reserved6[381];
    struct berth_ring_control control[BERTH_RING_COUNT];
    uint32_t reserved4[64];
    uint32_t reserved5[64];
};
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, rings) == 24, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, rings[BERTH_RING_CALLBACK]) == 88, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, features) == 120, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, reserved0) == 128, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, events_wanted) == 192, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, closing) == 196, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, events_taken) == 256, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, events_dropped) == 320, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, events_stuck) == 328, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, handler_turns) == 384, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, worker_features) == 448, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, requests_submitted) == 512, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, lease_claim) == 520, "segment header");
BERTH_ABI_ASSERT(offsetof(struct berth_segment_header, control) == 2048, "segment header");
BERTH_ABI_ASSERT(sizeof(struct berth_segment_header) == BERTH_SEGMENT_HEADER_SIZE, "segment header");

/* What a segment of major 2 has behind its first page: zero, and read by nobody yet. */
struct berth_segment_more {
    struct berth_ring_control control[2]; /* of BERTH_RING_CALLBACK and BERTH_RING_ANSWER */
    uint64_t reserved[(BERTH_SEGMENT_HEADER_AREA - BERTH_SEGMENT_HEADER_SIZE - 2 * 384) / 8]; /* for bodies beside rings */
};
BERTH_ABI_ASSERT(BERTH_SEGMENT_HEADER_SIZE + sizeof(struct berth_segment_more) == BERTH_SEGMENT_HEADER_AREA,
                 "segment header");

/* Where the rings lie that a host makes by default, one behind the other; and how long the segment then is. */
static inline uint64_t berth_default_capacity(uint32_t ring) {
    return ring == BERTH_RING_URGENT ? BERTH_URGENT_CAPACITY : BERTH_RING_CAPACITY;
}
static inline uint64_t berth_default_offset(uint32_t major, uint32_t ring) {
    uint64_t first = major == BERTH_SEGMENT_MAJOR_1 ? BERTH_SEGMENT_HEADER_SIZE : BERTH_SEGMENT_HEADER_AREA;
    return first + (uint64_t)ring * BERTH_RING_CAPACITY; /* the small one is the last */
}
static inline uint64_t berth_default_size(uint32_t major) {
    return berth_default_offset(major, BERTH_RING_URGENT) + BERTH_URGENT_CAPACITY;
}

#endif
