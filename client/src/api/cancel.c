#include "channel/baton.h"
#include "channel/urgent.h"
#include "context/context.h"
#include "kill_point.h"
#include "status.h"

/* Claimed, and with its generation: the slot may belong to another request by now. Blocking ones and opens cannot be.
 */
static int cancel(struct channel *channel, uint64_t id) {
    struct request *request = slots_find(&channel->slots, id);
    uint64_t word;
    if (!request || !request_claim(request, (uint32_t)(id >> 32), REQUEST_SUBMITTED, &word))
        return BERTH_RET_INVALID_ARGUMENT;
    berth_callback callback = request->options.callback;
    BERTH_DELAY_POINT("host.cancel_claimed");
    if (outbox_put(&channel->outbox, BERTH_REPLY, id, BERTH_RET_CANCELLED, callback, request->options.user_data,
                   BERTH_TEXT_CANCELLED, sizeof BERTH_TEXT_CANCELLED - 1) != 0) {
        request_unclaim(request);
        return BERTH_RET_ERR;
    }
    request_move(request, REQUEST_ABANDONED);
    outbox_told(channel, callback);
    if (callback)
        outbox_owe(&channel->outbox, -1);
    channel_send_cancel(channel, request, id);
    BERTH_KILL_POINT("host.cancel_sent");
    return BERTH_RET_OK;
}

int berth_cancel(berth_context handle, uint64_t id) {
    int ret;
    struct context *context = context_acquire(handle, &ret);
    if (!context)
        return ret;
    ret = cancel(&context->channel, id);
    context_release(context);
    return ret;
}
