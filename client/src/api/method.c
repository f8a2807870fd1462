#include <string.h>

#include "context/context.h"
#include "control.h"

/* While the open is under way the names are not known yet; a wrong one is then answered by the call. */
static int find(struct context *context, uint32_t id) {
    const struct seat *seat = &context->seat;
    if (lease_state(&context->lease) == LEASE_ACTIVE)
        context_wait_opened(context);
    if (!lease_has(&context->lease, LEASE_HAS_WORKER))
        return BERTH_RET_OK;
    for (size_t i = 0; i < seat->method_count; i++)
        if (seat->methods[i] == id)
            return BERTH_RET_OK;
    return BERTH_RET_INVALID_ARGUMENT;
}

int berth_method(berth_context handle, const char *name, uint32_t *out_method) {
    int ret;
    if (!name || !out_method)
        return BERTH_RET_INVALID_ARGUMENT;
    struct context *context = context_acquire(handle, &ret);
    if (!context)
        return ret;
    uint32_t id = berth_method_id(name, strlen(name));
    ret = find(context, id);
    if (ret == BERTH_RET_OK)
        *out_method = id;
    context_release(context);
    return ret;
}
