#include "channel/baton.h"
#include "context/context.h"

int berth_poll_fd(berth_context handle) {
    int why;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return -why;
    __atomic_store_n(&context->channel.poll_mode, 1, __ATOMIC_SEQ_CST);
    /* Readable at first: whatever came before is to be looked at. */
    poll_signal(&context->channel);
    int fd = context->channel.wake.poll_fd;
    context_release(context);
    return fd;
}
