/* What the module says of a request that it still works on: STALE_WARN to the host, as the library's own pings are. */
#include "context.h"

static int deliver(struct context *context, const struct request *request, const void *text, size_t len,
                   struct reap_sink *sink) {
    if (request->kind == REQUEST_POLL && sink)
        return reap_sink_put(context, sink, BERTH_PROGRESS, request->id, BERTH_RET_STALE_WARN, request->user_data, text,
                             len)
                   ? 0
                   : -ENOBUFS;
    return context_complete(context, BERTH_PROGRESS, request->id, BERTH_RET_STALE_WARN,
                            request->kind == REQUEST_CALLBACK ? request->callback : NULL, request->user_data, text, len);
}

/* The request is claimed meanwhile, so that a cancel's answer cannot come first. The module's word stands for our next
 * ping. */
int context_take_progress(struct context *context, const struct berth_frame_header *header, const uint8_t *payload,
                          struct reap_sink *sink) {
    uint32_t slot = (uint32_t)header->id, pending = REQUEST_PENDING;
    int rc = 0;
    if (slot >= context->max_in_flight || header->size > 255)
        return -EBADMSG;
    struct request *request = &context->requests[slot];
    uint32_t state = __atomic_load_n(&request->state, __ATOMIC_ACQUIRE);
    if (state == REQUEST_FREE || state == REQUEST_DONE || request->id != header->id)
        return -EBADMSG;
    if (request->kind == REQUEST_BLOCKING || request->next_ping_ns == UINT64_MAX)
        return 0; /* a caller that waits, or an open */
    while (!__atomic_compare_exchange_n(&request->state, &pending, REQUEST_COMPLETING, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
        if (pending != REQUEST_COMPLETING)
            return 0; /* abandoned */
        pending = REQUEST_PENDING;
        berth_spin_pause(); /* a ping looks at it */
    }
    /* The text could change while it is read; it is copied once, and means nothing to us. */
    if (context->stale_warn_ms != UINT32_MAX) {
        rc = deliver(context, request, payload, header->size, sink);
        if (rc == 0)
            request->next_ping_ns = berth_now_ns() + (uint64_t)context->stale_warn_ms * 1000000u;
    }
    __atomic_store_n(&request->state, REQUEST_PENDING, __ATOMIC_RELEASE);
    return rc;
}
