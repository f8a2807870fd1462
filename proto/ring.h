/* One producer, one consumer, one ring of frames in shared memory.
 *
 * ring_abi.h has the layout, ring.md the rules in prose; model/wakeup.pml checks the wakeup rule. Each side keeps its
 * own index, and what it believes of the other's, in private memory (struct berth_ring_producer, _consumer): the
 * shared words are only ever a message to the other side, so a peer that scribbles over them can lie about itself
 * and about nothing else. No function here blocks or allocates. Several threads of one side share an end by a lock
 * of their own. */
#ifndef BERTH_PROTO_RING_H
#define BERTH_PROTO_RING_H

#include <errno.h>
#include <string.h>

#include "futex.h"
#include "ring_abi.h"

/* Frames that stand one behind the other. A producer that starts anew elsewhere begins another run. */
struct berth_ring_run {
    uint64_t index; /* of its first byte, as tail and head count */
    uint64_t start; /* offset of its first byte in the ring */
    uint64_t end;   /* offset behind its last; of the newest run: where the next frame goes */
};

#define BERTH_RING_RUNS 3

struct berth_ring_producer {
    struct berth_ring_control *control;
    uint8_t *bytes;
    uint64_t capacity;
    uint64_t tail;      /* index of the next frame; ahead of control->tail while one is being written */
    uint64_t head_seen; /* the consumer's head when last looked at */
    uint64_t limit;     /* offset that the newest run may not pass: unread frames, or the end of the ring */
    uint32_t run_count;
    struct berth_ring_run runs[BERTH_RING_RUNS]; /* with unread frames, oldest first; the last is the newest */
    uint64_t high_water; /* one past the highest offset written: what a trim gives back */
};

struct berth_ring_consumer {
    struct berth_ring_control *control;
    const uint8_t *bytes;
    uint64_t capacity;
    uint64_t head;
    uint64_t at; /* offset of the frame at head */
    uint64_t tail_seen;
    uint64_t span; /* of the frame that was peeked */
};

static inline uint64_t berth_frame_span(uint32_t payload) {
    return ((uint64_t)payload + BERTH_FRAME_HEADER_SIZE + (BERTH_FRAME_ALIGN - 1)) & ~(uint64_t)(BERTH_FRAME_ALIGN - 1);
}

/* What a DATA frame counts against BERTH_DATA_CREDIT, and a CREDIT gives back for it: the room that it takes in the
 * ring. So many small ones are not free. */
static inline uint32_t berth_data_cost(uint32_t payload) { return (uint32_t)berth_frame_span(payload); }

static inline struct berth_ring_run *berth_ring_newest(struct berth_ring_producer *p) {
    return &p->runs[p->run_count - 1];
}

static inline void berth_ring_attach_producer(struct berth_ring_producer *p, struct berth_ring_control *control,
                                              void *bytes, uint64_t capacity) {
    memset(p, 0, sizeof *p);
    p->control = control;
    p->bytes = (uint8_t *)bytes;
    p->capacity = capacity;
    p->limit = capacity;
    p->run_count = 1;
}

static inline void berth_ring_attach_consumer(struct berth_ring_consumer *c, struct berth_ring_control *control,
                                              const void *bytes, uint64_t capacity) {
    memset(c, 0, sizeof *c);
    c->control = control;
    c->bytes = (const uint8_t *)bytes;
    c->capacity = capacity;
}

/* Takes the consumer's word for how far it is. 0, or -EBADMSG when that cannot be. */
static inline int berth_ring_refresh_head(struct berth_ring_producer *p) {
    uint64_t head = __atomic_load_n(&p->control->head, __ATOMIC_ACQUIRE);
    if (head < p->head_seen || head > p->tail || head % BERTH_FRAME_ALIGN)
        return -EBADMSG;
    p->head_seen = head;
    return 0;
}

/* Forgets runs that are read, and returns where the oldest unread byte stands. */
static inline uint64_t berth_ring_oldest(struct berth_ring_producer *p) {
    while (p->run_count > 1 && p->head_seen >= p->runs[1].index) {
        memmove(&p->runs[0], &p->runs[1], (p->run_count - 1) * sizeof p->runs[0]);
        p->run_count--;
    }
    return p->runs[0].start + (p->head_seen - p->runs[0].index);
}

/* The offset that a run which goes on or begins at `from` may not pass: the nearest unread frame, or the end. In an
 * empty ring `oldest` is the newest run's end, where only its JUMP could stand. */
static inline uint64_t berth_ring_limit(struct berth_ring_producer *p, uint64_t from, uint64_t oldest) {
    uint64_t limit = p->capacity;
    for (uint32_t i = 0; i < p->run_count; i++) {
        uint64_t start = i ? p->runs[i].start : oldest;
        /* The newest run is no obstacle to itself. */
        if (start >= from && !(i + 1 == p->run_count && from == p->runs[i].end) && start < limit)
            limit = start;
    }
    return limit;
}

/* Ends the newest run with a JUMP, for which every frame leaves room, and begins one at `to`. */
static inline void berth_ring_jump(struct berth_ring_producer *p, uint64_t to, uint64_t limit) {
    struct berth_ring_run *run = berth_ring_newest(p);
    struct berth_frame_header jump;
    memset(&jump, 0, sizeof jump);
    jump.kind = BERTH_FRAME_JUMP;
    jump.id = to;
    memcpy(p->bytes + run->end, &jump, sizeof jump);
    run->end += BERTH_FRAME_ALIGN;
    if (run->end > p->high_water)
        p->high_water = run->end;
    p->tail += BERTH_FRAME_ALIGN;
    run[1].index = p->tail;
    run[1].start = run[1].end = to;
    p->run_count++;
    p->limit = limit;
}

/* Takes a JUMP back behind which no frame was committed: never two in a row. */
static inline void berth_ring_take_jump_back(struct berth_ring_producer *p) {
    struct berth_ring_run *run = berth_ring_newest(p);
    if (p->run_count == 1 || run->start != run->end)
        return;
    p->run_count--;
    run[-1].end -= BERTH_FRAME_ALIGN;
    p->tail -= BERTH_FRAME_ALIGN;
}

/* The slow half of berth_ring_reserve: finds a place for `need` bytes. 0, -ENOSPC or -EBADMSG.
 *
 * Past the hot window the producer goes back to offset 0 as soon as the consumer has read far enough: small traffic
 * stays in cache and never touches the rest of the ring's pages. Going back costs no room: whatever is not unread
 * can still be had, by a jump to it. */
static inline int berth_ring_place(struct berth_ring_producer *p, uint64_t need) {
    berth_ring_take_jump_back(p);
    int rc = berth_ring_refresh_head(p);
    if (rc)
        return rc;
    uint64_t oldest = berth_ring_oldest(p), end = berth_ring_newest(p)->end;
    uint64_t early = need > BERTH_HOT_WINDOW / 2 ? need : BERTH_HOT_WINDOW / 2;
    if (p->run_count == 1 && end >= BERTH_HOT_WINDOW && oldest >= early) {
        berth_ring_jump(p, 0, oldest);
        return 0;
    }
    p->limit = berth_ring_limit(p, end, oldest);
    if (end + need <= p->limit)
        return 0;
    if (p->run_count == BERTH_RING_RUNS)
        return -ENOSPC;
    /* What is free begins at the front or behind an older run. */
    for (uint32_t i = 0; i < p->run_count; i++) {
        uint64_t from = i ? p->runs[i - 1].end : 0;
        uint64_t limit = berth_ring_limit(p, from, oldest);
        if (from + need <= limit) {
            berth_ring_jump(p, from, limit);
            return 0;
        }
    }
    return -ENOSPC;
}

/* Makes room for a frame with `payload` bytes (at most BERTH_MAX_PAYLOAD; the caller has checked) and points *out at
 * where they go; berth_ring_commit publishes. 0, -ENOSPC when the ring is full, -EBADMSG when the consumer lies. */
static inline int berth_ring_reserve(struct berth_ring_producer *p, uint32_t payload, uint8_t **out) {
    uint64_t span = berth_frame_span(payload), need = span + BERTH_FRAME_ALIGN;
    uint64_t at = berth_ring_newest(p)->end;
    if (at >= BERTH_HOT_WINDOW || at + need > p->limit) {
        int rc = berth_ring_place(p, need);
        if (rc)
            return rc;
        at = berth_ring_newest(p)->end;
    }
    if (at + span > p->high_water)
        p->high_water = at + span;
    *out = p->bytes + at + BERTH_FRAME_HEADER_SIZE;
    return 0;
}

/* The store, and all before it, is visible to the peer before anything after it is read. ThreadSanitizer knows no
 * fences. */
static inline void berth_ring_store_and_fence(uint64_t *tail, uint64_t value) {
#if defined(__SANITIZE_THREAD__)
    __atomic_store_n(tail, value, __ATOMIC_SEQ_CST);
#else
    __atomic_store_n(tail, value, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* The producer's half of the wakeup rule: publish, then look whether the consumer sleeps. A fence stands between the
 * store and the load, as one does in berth_ring_prepare_wait; so of the two sides at least one sees the other. A plain
 * store and a fence, not an exchange: the store's line is then fetched beside the frame's, not after them. Returns the
 * wakeup that is due: BERTH_AWAKE (none), BERTH_ASLEEP_FUTEX or BERTH_ASLEEP_FD; the caller makes it
 * (berth_ring_wake_futex, or a write to the consumer's eventfd). */
static inline uint32_t berth_ring_publish(struct berth_ring_producer *p) {
    berth_ring_store_and_fence(&p->control->tail, p->tail);
#ifdef BERTH_RING_TAIL_STORED /* a kill point of the includer's */
    BERTH_RING_TAIL_STORED;
#endif
    if (__atomic_load_n(&p->control->waiting, __ATOMIC_SEQ_CST) == BERTH_AWAKE)
        return BERTH_AWAKE;
    return __atomic_exchange_n(&p->control->waiting, BERTH_AWAKE, __ATOMIC_SEQ_CST);
}

/* Completes the frame begun by berth_ring_reserve. `header->size` is the payload's length as reserved. */
static inline uint32_t berth_ring_commit(struct berth_ring_producer *p, const struct berth_frame_header *header) {
    struct berth_ring_run *run = berth_ring_newest(p);
    uint64_t span = berth_frame_span(header->size);
    memcpy(p->bytes + run->end, header, sizeof *header);
    run->end += span;
    p->tail += span;
    return berth_ring_publish(p);
}

/* Makes the wakeup that berth_ring_publish called BERTH_ASLEEP_FUTEX. */
static inline void berth_ring_wake_futex(struct berth_ring_control *control) {
    berth_futex_wake(&control->waiting, 1);
}

/* One load: is there a frame? Cheap enough to spin on. While there is none it pulls the place where the frame will
 * stand into cache too, so that index and frame cross between the cores side by side and not one after the other. */
static inline int berth_ring_ready(struct berth_ring_consumer *c) {
    const uint8_t *next = c->bytes + c->at;
    if (c->tail_seen != c->head)
        return 1;
    if (__atomic_load_n(&c->control->tail, __ATOMIC_ACQUIRE) != c->head)
        return 1;
    __builtin_prefetch(next, 0, 3);
    __builtin_prefetch(next + 64, 0, 3);
    return 0;
}

/* Copies the next frame's header to *header, checks the copy, and points *payload at its bytes in the ring, where the
 * peer can still change them. 1 a frame, 0 none, -EBADMSG when what is there cannot be. */
static inline int berth_ring_peek(struct berth_ring_consumer *c, struct berth_frame_header *header,
                                  const uint8_t **payload) {
    for (int jumped = 0;; jumped = 1) {
        if (c->tail_seen == c->head) {
            uint64_t tail = __atomic_load_n(&c->control->tail, __ATOMIC_ACQUIRE);
            if (tail == c->head)
                return 0;
            if (tail - c->head > c->capacity || tail % BERTH_FRAME_ALIGN)
                return -EBADMSG;
            c->tail_seen = tail;
        }
        uint64_t to_end = c->capacity - c->at;
        uint64_t published = c->tail_seen - c->head;
        if (to_end < BERTH_FRAME_ALIGN)
            return -EBADMSG;
        memcpy(header, c->bytes + c->at, sizeof *header);
        /* No machine code: keeps the compiler from reading the shared bytes again instead of the copy. */
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (header->kind == BERTH_FRAME_JUMP) {
            /* Never two in a row: a peer that publishes nothing else would keep this loop, and the caller, for ever.
             * One is always published together with the frame behind it. */
            if (jumped || header->size || header->flags || header->code || header->reserved0 || header->stamp ||
                header->id % BERTH_FRAME_ALIGN || header->id >= c->capacity || published <= BERTH_FRAME_ALIGN)
                return -EBADMSG;
            c->at = header->id;
            c->head += BERTH_FRAME_ALIGN;
            continue;
        }
        uint64_t span = berth_frame_span(header->size);
        if (header->kind >= BERTH_FRAME_KIND_COUNT || header->size > BERTH_MAX_PAYLOAD || header->flags ||
            header->reserved0 || span > to_end || span > published)
            return -EBADMSG;
        c->span = span;
        *payload = c->bytes + c->at + BERTH_FRAME_HEADER_SIZE;
        return 1;
    }
}

/* Gives the peeked frame's room back. Its payload may be overwritten from here on. */
static inline void berth_ring_advance(struct berth_ring_consumer *c) {
    c->head += c->span;
    c->at += c->span;
    __atomic_store_n(&c->control->head, c->head, __ATOMIC_RELEASE);
}

/* The consumer's half of the wakeup rule: say that we sleep, then look once more. 1: sleep (berth_ring_sleep, or poll
 * the eventfd), then berth_ring_finish_wait; 0: there is a frame, stay awake. */
static inline int berth_ring_prepare_wait(struct berth_ring_consumer *c, uint32_t how) {
    __atomic_store_n(&c->control->waiting, how, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->control->tail, __ATOMIC_SEQ_CST) == c->head && c->tail_seen == c->head)
        return 1;
    __atomic_store_n(&c->control->waiting, BERTH_AWAKE, __ATOMIC_SEQ_CST);
    return 0;
}

/* Sleeps after berth_ring_prepare_wait(c, BERTH_ASLEEP_FUTEX), until `deadline_ns` of CLOCK_MONOTONIC at most (0: no
 * deadline). 0, -EAGAIN, -EINTR or -ETIMEDOUT; whichever it is, finish the wait and look.
 *
 * The futex word is `waiting` and not `tail`: a producer that is slow to look may take `waiting` for a frame that the
 * consumer has read already. On `tail` the consumer would then sleep, unchanged as that is, with nobody left who
 * knows of it. */
static inline int berth_ring_sleep(struct berth_ring_consumer *c, uint64_t deadline_ns) {
    return berth_futex_wait(&c->control->waiting, BERTH_ASLEEP_FUTEX, deadline_ns);
}

/* Wakes a consumer of one's own process for a reason that is no frame (its peer died, a close). The reason is set
 * before, and the consumer looks at it between berth_ring_prepare_wait and its sleep; so it cannot be missed. Awake is no
 * reason not to wake: a producer that was killed may have taken `waiting`, and not made the wakeup. Returns what `waiting`
 * was: at BERTH_ASLEEP_FD the eventfd is for the caller to write. */
static inline uint32_t berth_ring_kick(struct berth_ring_control *control) {
    uint32_t was = __atomic_exchange_n(&control->waiting, BERTH_AWAKE, __ATOMIC_SEQ_CST);
    if (was != BERTH_ASLEEP_FD)
        berth_ring_wake_futex(control);
    return was;
}

/* After a wait. Returns what `waiting` was: BERTH_AWAKE means that the producer has made, or is about to make, its
 * wakeup. An eventfd is read whenever it is readable, whatever this says: a write may belong to an earlier wait. */
static inline uint32_t berth_ring_finish_wait(struct berth_ring_consumer *c) {
    return __atomic_exchange_n(&c->control->waiting, BERTH_AWAKE, __ATOMIC_SEQ_CST);
}

#endif
