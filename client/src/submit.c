/* The hot way in: one lock, one frame, one look at whether the worker sleeps. */
#include "kill_point.h"
#define BERTH_RING_TAIL_STORED BERTH_KILL_POINT("host.tail_stored")

#include "context.h"
#include "raw_io.h"
#include "status.h"

/* Slots are begun when they are first needed: room for 65,536 requests is 4 MiB, of which most contexts touch a page. */
static struct request *request_begin_slot(struct context *context) {
    uint32_t slot = context->slots_begun;
    if (slot == context->max_in_flight)
        return NULL;
    context->requests[slot].id = slot;
    __atomic_store_n(&context->slots_begun, slot + 1, __ATOMIC_RELEASE);
    return &context->requests[slot];
}

/* Freed slots come back over free_shared, pushed by any thread and taken whole by the one that holds submit_lock; so
 * no slot can leave and return between a push's look and its exchange. */
static struct request *request_take(struct context *context) {
    if (!context->free_local) {
        context->free_local = (uint32_t)__atomic_exchange_n(&context->free_shared, 0, __ATOMIC_ACQUIRE);
        if (!context->free_local)
            return request_begin_slot(context);
    }
    struct request *request = &context->requests[context->free_local - 1];
    context->free_local = request->next_free;
    return request;
}

void request_free(struct context *context, struct request *request) {
    uint64_t first = __atomic_load_n(&context->free_shared, __ATOMIC_RELAXED);
    uint32_t slot = (uint32_t)(request - context->requests);
    __atomic_store_n(&request->state, REQUEST_FREE, __ATOMIC_RELAXED);
    do
        request->next_free = (uint32_t)first;
    while (!__atomic_compare_exchange_n(&context->free_shared, &first, slot + 1, 1, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

static int refusal(const struct context *context) {
    switch (context_state(context)) {
    case CONTEXT_RECYCLE_PENDING:
    case CONTEXT_RECYCLING: return BERTH_RET_RECYCLED;
    case CONTEXT_CLOSED: return BERTH_RET_CLOSED;
    default: return (int)__atomic_load_n(&context->fail_ret, __ATOMIC_ACQUIRE);
    }
}

const char *context_refusal_text(int ret) {
    switch (ret) {
    case BERTH_RET_RECYCLED: return BERTH_TEXT_NOT_ACCEPTING;
    case BERTH_RET_TOO_LARGE: return BERTH_TEXT_REQUEST_TOO_LARGE;
    case BERTH_RET_QUEUE_FULL: return "the request ring is full";
    case BERTH_RET_BUSY: return "too many requests in flight";
    case BERTH_RET_INVALID_CTX: return "no such context";
    case BERTH_RET_FORKED: return "called in a child of the process that opened the context";
    case BERTH_RET_INVALID_ARGUMENT: return "an argument cannot be";
    default: return "the context is gone";
    }
}

static void wake_worker(struct context *context, struct berth_ring_producer *ring, uint32_t due) {
    if (due == BERTH_ASLEEP_FUTEX)
        berth_ring_wake_futex(ring->control);
    else if (due == BERTH_ASLEEP_FD)
        raw_signal(context->doorbell);
}

int context_submit_locked(struct context *context, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                          const struct request *what, struct request **out, uint64_t *out_id) {
    uint32_t state = context_state(context);
    if (state != CONTEXT_ACTIVE && state != CONTEXT_OPENING)
        return refusal(context);
    struct request *request = request_take(context);
    if (!request)
        return BERTH_RET_BUSY;
    uint8_t *payload;
    int rc = berth_ring_reserve(&context->request_ring, (uint32_t)len, &payload);
    if (rc) {
        request->next_free = context->free_local;
        context->free_local = (uint32_t)(request - context->requests) + 1;
        return rc == -ENOSPC ? BERTH_RET_QUEUE_FULL : BERTH_RET_PROTOCOL;
    }
    if (len)
        memcpy(payload, data, len);
    request->id += (uint64_t)1 << 32;
    if (request->id >> 32 == 0)
        request->id += (uint64_t)1 << 32;
    request->kind = what->kind;
    request->reply = what->reply;
    request->callback = what->callback;
    request->user_data = what->user_data;
    request->submitted_ns = what->submitted_ns;
    request->next_ping_ns = what->next_ping_ns;
    __atomic_store_n(&request->state, REQUEST_PENDING, __ATOMIC_RELEASE);
    struct berth_frame_header header = {(uint32_t)len, frame_kind, 0, request->id, method, 0, 0};
    *out = request;
    if (out_id)
        *out_id = request->id; /* before the frame is out: the answer may come first */
    __atomic_store_n(&context->segment.header->requests_submitted, ++context->submitted, __ATOMIC_RELAXED);
    BERTH_KILL_POINT("host.frame_reserved");
    uint32_t due = berth_ring_commit(&context->request_ring, &header);
    BERTH_KILL_POINT("host.frame_committed");
    wake_worker(context, &context->request_ring, due);
    BERTH_KILL_POINT("host.frame_sent");
    return 0;
}

static int any_abandoned(const struct context *context) {
    for (uint32_t slot = 0; slot < context_slots(context); slot++)
        if (__atomic_load_n(&context->requests[slot].state, __ATOMIC_RELAXED) == REQUEST_ABANDONED)
            return 1;
    return 0;
}

/* The worker's answers to requests that were given up are read with others'. Where there are no others nobody reads,
 * and their slots would not come back. */
static void read_late_answers(struct context *context) {
    if (!any_abandoned(context) || !baton_take(context))
        return;
    context_drain(context, NULL, NULL, (int)context->max_in_flight);
    baton_give(context);
}

static int submit_once(struct context *context, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                   const struct request *what, struct request **out, uint64_t *out_id) {
    pthread_mutex_lock(&context->submit_lock);
    int rc = context_submit_locked(context, frame_kind, method, data, len, what, out, out_id);
    if (len > BERTH_HOT_WINDOW)
        context->last_large_ns = berth_now_ns();
    pthread_mutex_unlock(&context->submit_lock);
    return rc;
}

int context_submit(struct context *context, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                   const struct request *what, struct request **out, uint64_t *out_id) {
    if (len > BERTH_MAX_PAYLOAD)
        return BERTH_RET_TOO_LARGE;
    int rc = submit_once(context, frame_kind, method, data, len, what, out, out_id);
    if (rc == BERTH_RET_BUSY) {
        read_late_answers(context);
        rc = submit_once(context, frame_kind, method, data, len, what, out, out_id);
    }
    if (len > BERTH_HOT_WINDOW)
        context_arm_tick(context, context->last_large_ns + TRIM_AFTER_NS);
    return rc;
}

int context_send_urgent(struct context *context, uint16_t frame_kind, uint64_t id) {
    uint8_t *payload;
    uint32_t due = BERTH_AWAKE;
    struct berth_frame_header header = {0, frame_kind, 0, id, 0, 0, 0};
    pthread_mutex_lock(&context->submit_lock);
    int rc = berth_ring_reserve(&context->urgent_ring, 0, &payload);
    if (rc == 0)
        due = berth_ring_commit(&context->urgent_ring, &header);
    wake_worker(context, &context->urgent_ring, due);
    pthread_mutex_unlock(&context->submit_lock);
    return rc;
}

void context_ask_to_close(struct context *context) {
    __atomic_store_n(&context->segment.header->closing, 1, __ATOMIC_RELEASE);
    berth_ring_kick(context->request_ring.control); /* it sleeps on the request ring, if it does */
    BERTH_KILL_POINT("host.closing_set");
}

void context_refuse(struct context *context, int ret, struct berth_reply *reply) {
    /* A lost context's verdict says more than any text for its code. */
    pthread_mutex_lock(&context->submit_lock); /* a restart takes the verdict away */
    int told = __atomic_load_n(&context->failed, __ATOMIC_ACQUIRE) && ret == (int)context->fail_ret &&
               ret != BERTH_RET_RECYCLED && context->fail_len;
    if (told)
        reply_set(reply, ret, context->fail_data, context->fail_len);
    pthread_mutex_unlock(&context->submit_lock);
    if (!told)
        reply_text(reply, ret, context_refusal_text(ret));
}
