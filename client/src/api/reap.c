#include "delivery/reap.h"
#include "context/context.h"

/* Nothing is left to take: what ended the context. A closed one is over once that was said. */
static int ended(struct context *context) {
    uint32_t state = lease_state(&context->lease);
    if (state != LEASE_CLOSED && state != LEASE_OVER)
        return -(int)verdict_ret(&context->channel.verdict);
    context_over(context);
    return -BERTH_RET_CLOSED;
}

static int reap(struct context *context, struct berth_completion *out, size_t capacity, int timeout_ms) {
    size_t most = capacity > INT32_MAX ? INT32_MAX : capacity;
    if (timeout_ms == BERTH_LOOK)
        return reap_look(&context->delivery, out, most);
    int count = reap_batch(&context->delivery, out, most, timeout_ms);
    return count || !reap_is_over(&context->delivery) ? count : ended(context);
}

int berth_reap(berth_context handle, struct berth_completion *out, size_t capacity, int timeout_ms) {
    int why;
    uint32_t idle = 0;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return -why;
    uint32_t *busy = &context->delivery.reaper.busy;
    int result = -BERTH_RET_INVALID_ARGUMENT;
    if (out && capacity) {
        result = -BERTH_RET_BUSY;
        if (__atomic_compare_exchange_n(busy, &idle, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            result = reap(context, out, capacity, timeout_ms);
            __atomic_store_n(busy, 0, __ATOMIC_RELEASE);
        }
    }
    context_release(context);
    return result;
}
