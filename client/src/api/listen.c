#include <string.h>

#include "context/context.h"
#include "delivery/event_thread.h"
#include "delivery/listeners.h"

static int listen_on(struct context *context, const char *event, berth_callback callback, void *user_data,
                     uint64_t *out_listener) {
    uint32_t state = lease_state(&context->lease);
    if (state == LEASE_CLOSING || state == LEASE_RECYCLING || state == LEASE_CLOSED || state == LEASE_OVER)
        return BERTH_RET_RECYCLED;
    if (callback && event_thread_need(&context->delivery) != 0)
        return BERTH_RET_ERR;
    return listeners_add(&context->delivery, event, callback, user_data, out_listener);
}

int berth_listen(berth_context handle, const char *event, berth_callback callback, void *user_data,
                 uint64_t *out_listener) {
    int why;
    uint64_t ignored;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return why;
    int ret = BERTH_RET_INVALID_ARGUMENT;
    if (event && *event && strlen(event) <= 255)
        ret = listen_on(context, event, callback, user_data, out_listener ? out_listener : &ignored);
    context_release(context);
    return ret;
}
