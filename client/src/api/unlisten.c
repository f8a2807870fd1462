#include "context/context.h"
#include "delivery/listeners.h"

int berth_unlisten(berth_context handle, uint64_t listener) {
    int why;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return why;
    int removed = listeners_remove(&context->delivery, listener);
    context_release(context);
    return removed ? BERTH_RET_OK : BERTH_RET_INVALID_ARGUMENT;
}
