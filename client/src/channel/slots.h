/* Where requests in flight are kept: a slot each, named by the low half of a request's id.
 *
 * A slot's word is {generation, kind, state}, and every move is one compare-and-swap, or a store by whoever owns it:
 *
 *   from       move       to         who
 *   FREE       publish    PENDING    who submits, with the submit lock; the generation grows
 *   PENDING    claim      CLAIMED    whoever answers, pings, cancels, abandons, settles or hands over, the caller
 *                                    itself included: nobody touches a request without a claim
 *   CLAIMED    unclaim    PENDING    the claimant: nothing was done, or it stays in flight
 *   CLAIMED    done       DONE       the claimant, after it has copied a blocked caller's answer
 *   CLAIMED    free       FREE       the claimant, after it has handed the answer to the outbox
 *   CLAIMED    abandon    ABANDONED  the claimant: answered here, the worker's answer is still to come
 *   DONE       free       FREE       the caller, and nobody else
 *   ABANDONED  free       FREE       the baton's holder: the worker's answer has come, or never will
 *
 * A claim names generation and kinds, so it cannot take a later request in the same slot, nor one that is not the
 * claimant's business. tests/model/slot.pml checks this table together with the baton. */
#ifndef BERTH_SLOTS_H
#define BERTH_SLOTS_H

#include "base/parker.h"
#include "berth/berth.h"

enum request_state { REQUEST_FREE, REQUEST_PENDING, REQUEST_CLAIMED, REQUEST_DONE, REQUEST_ABANDONED };

enum request_kind {
    REQUEST_BLOCKING,
    REQUEST_CALLBACK,
    REQUEST_POLL,
    REQUEST_CREATE_BLOCKING, /* the request that opens the context */
    REQUEST_CREATE_CALLBACK,
    REQUEST_CREATE_SILENT /* a restart's: nobody waits for it */
};

#define REQUEST_KIND(kind) (1u << (kind))
#define REQUEST_BLOCKS (REQUEST_KIND(REQUEST_BLOCKING) | REQUEST_KIND(REQUEST_CREATE_BLOCKING))
#define REQUEST_CALLS_BACK (REQUEST_KIND(REQUEST_CALLBACK) | REQUEST_KIND(REQUEST_CREATE_CALLBACK))
#define REQUEST_SUBMITTED (REQUEST_KIND(REQUEST_CALLBACK) | REQUEST_KIND(REQUEST_POLL))
#define REQUEST_CREATES                                                                                                \
    (REQUEST_KIND(REQUEST_CREATE_BLOCKING) | REQUEST_KIND(REQUEST_CREATE_CALLBACK) |                                   \
     REQUEST_KIND(REQUEST_CREATE_SILENT))
#define REQUEST_ANY_KIND 0x3fu

struct completion;

/* What a request is made of; its submitter's until it is published, its claimant's afterwards. */
struct request_options {
    enum request_kind kind;
    struct berth_reply *reply; /* of one that blocks */
    berth_callback callback;
    void *user_data;
    uint64_t submitted_ns, next_ping_ns, stale_warn_ns; /* of one submitted; stale_warn_ns 0: no pings */
};

struct request {
    uint64_t word;        /* generation << 32 | kind << 8 | state */
    struct parker parker; /* the blocked caller's. May be unparked late, for the slot's next request: harmless */
    uint32_t slot;
    uint32_t next_free; /* slot + 1 */
    struct request_options options;
    struct completion *progress; /* the one that is still queued; atomic, and set under its queue's lock */
    uint32_t unread;             /* what DATA that nobody has fetched counts against the credit; its claimant's */
    uint32_t credit_due;         /* of what was fetched, and not told to the worker; likewise, and read by anybody */
    uint32_t cancel_due; /* the generation of which the worker is still to be told that it was given up; atomic */
};

#define SLOTS_NONE UINT32_MAX

struct slots {
    struct request *requests;
    uint32_t total;
    uint32_t for_create;  /* the slot kept for creates, so that a restart finds one; SLOTS_NONE: they take any */
    uint32_t begun;       /* the first so many were ever used, or are ready to be; grows under the submit lock */
    uint32_t free_local;  /* taken from free_shared in one go: slot + 1; under the submit lock */
    uint64_t free_shared; /* given back by any thread: slot + 1 */
};

static inline uint64_t request_word(uint32_t generation, uint32_t kind, uint32_t state) {
    return (uint64_t)generation << 32 | kind << 8 | state;
}
static inline uint64_t request_load(const struct request *request) {
    return __atomic_load_n(&request->word, __ATOMIC_ACQUIRE);
}
static inline uint32_t request_state_of(uint64_t word) { return (uint32_t)word & 0xff; }
static inline uint32_t request_kind_of(uint64_t word) { return (uint32_t)word >> 8 & 0xff; }
static inline uint32_t request_generation_of(uint64_t word) { return (uint32_t)(word >> 32); }
static inline int request_is(uint64_t word, uint32_t kinds) {
    return (REQUEST_KIND(request_kind_of(word)) & kinds) != 0;
}
static inline uint64_t request_id(const struct request *request) {
    return __atomic_load_n(&request->word, __ATOMIC_RELAXED) >> 32 << 32 | request->slot;
}

static inline int request_is_done(const struct request *request) {
    return request_state_of(request_load(request)) == REQUEST_DONE;
}

/* Waits for another claimant, who is about to let go. */
void request_pause(uint32_t *turns);

/* PENDING → CLAIMED for a request of that generation and of one of `kinds`. Waits while another has claimed it. 1: it
 * is the caller's; 0: it is not to be had, and *seen is why. */
static inline int request_claim(struct request *request, uint32_t generation, uint32_t kinds, uint64_t *seen) {
    uint64_t word = request_load(request);
    for (uint32_t turns = 0;;) {
        uint32_t state = request_state_of(word);
        *seen = word;
        if (request_generation_of(word) != generation || !request_is(word, kinds))
            return 0;
        if (state == REQUEST_PENDING) {
            if (__atomic_compare_exchange_n(&request->word, &word, word + (REQUEST_CLAIMED - REQUEST_PENDING), 0,
                                            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
                return 1;
            continue;
        }
        if (state != REQUEST_CLAIMED)
            return 0;
        request_pause(&turns);
        word = request_load(request);
    }
}

/* The claimant's moves: to `state`, and as `kind` if it is handed over. */
static inline void request_leave(struct request *request, uint32_t kind, uint32_t state) {
    uint64_t word = __atomic_load_n(&request->word, __ATOMIC_RELAXED);
    __atomic_store_n(&request->word, request_word(request_generation_of(word), kind, state), __ATOMIC_RELEASE);
}
static inline void request_move(struct request *request, uint32_t state) {
    request_leave(request, request_kind_of(__atomic_load_n(&request->word, __ATOMIC_RELAXED)), state);
}
static inline void request_unclaim(struct request *request) { request_move(request, REQUEST_PENDING); }

/* Room for `in_flight` requests, and with `for_create` for one that creates. 0 or -ENOMEM. */
int slots_init(struct slots *slots, uint32_t in_flight, int for_create);
void slots_deinit(struct slots *slots);
/* A free slot for a request of that kind, or NULL. With the submit lock, as slots_prepare, slots_put_back and
 * request_publish. Here are those on a call's way. */
struct request *slots_take(struct slots *slots, enum request_kind kind);
/* Has a slot ready for the next slots_take, if there is one: to be done while the worker is at work, and nobody waits
 * for us. */
void slots_prepare(struct slots *slots);
/* It was taken, and not published. */
void slots_put_back(struct slots *slots, struct request *request);
static inline void request_publish(struct request *request, const struct request_options *options) {
    uint32_t generation = request_generation_of(request_load(request)) + 1;
    request->options = *options;
    __atomic_store_n(&request->progress, NULL, __ATOMIC_RELAXED);
    request->unread = 0;
    __atomic_store_n(&request->credit_due, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&request->word, request_word(generation ? generation : 1, options->kind, REQUEST_PENDING),
                     __ATOMIC_RELEASE);
}
/* From CLAIMED, DONE or ABANDONED, by whoever owns it then. */
static inline void slots_free(struct slots *slots, struct request *request) {
    uint64_t first = __atomic_load_n(&slots->free_shared, __ATOMIC_RELAXED);
    request_move(request, REQUEST_FREE);
    if (request->slot == slots->for_create)
        return;
    do
        request->next_free = (uint32_t)first;
    while (!__atomic_compare_exchange_n(&slots->free_shared, &first, request->slot + 1, 1, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}
static inline uint32_t slots_begun(const struct slots *slots) {
    return __atomic_load_n(&slots->begun, __ATOMIC_ACQUIRE);
}
/* The slot that an id names, or NULL: what the id says of the generation is the caller's to compare. */
static inline struct request *slots_find(const struct slots *slots, uint64_t id) {
    uint32_t slot = (uint32_t)id;
    return slot < slots_begun(slots) || (slot == slots->for_create && slot < slots->total) ? &slots->requests[slot]
                                                                                           : NULL;
}
/* Walks over the slots that were ever used. *at is 0 at first; NULL: that was the last. */
static inline struct request *slots_next(struct slots *slots, uint32_t *at) {
    uint32_t slot = (*at)++;
    if (slot < slots_begun(slots))
        return &slots->requests[slot];
    if (slots->for_create == SLOTS_NONE || *at > slots->total)
        return NULL;
    *at = slots->total + 1;
    return &slots->requests[slots->for_create];
}
/* Of a channel with a slot kept for creates. */
static inline int slots_create_is_free(const struct slots *slots) {
    return request_state_of(request_load(&slots->requests[slots->for_create])) == REQUEST_FREE;
}
/* Whether the worker owes an answer to any. */
int slots_any_in_flight(struct slots *slots);
int slots_any_abandoned(struct slots *slots);

#endif
