#include "connection/client.h"
#include "context/context.h"
#include "delivery/reply_thread.h"
#include "status.h"

/* While the worker is at work. */
static void prepare_next(struct client *client, const struct context *context) {
    uint64_t due = channel_spare_fill(&client->spare, context->channel.wake.worker_end);
    if (due)
        alarm_ring_at(&client->alarm, due);
}

int berth_close(berth_context handle, berth_callback done, void *user_data) {
    int why;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return why;
    int ret = done && reply_thread_need(&context->delivery) != 0 ? BERTH_RET_EXHAUSTED : BERTH_RET_OK;
    if (ret == BERTH_RET_OK)
        ret = context_begin_close(context, done, user_data);
    if (ret == BERTH_RET_OK && done) {
        due_arm(&context->due, bound_at(&context->lease.bounds, BOUND_QUICK));
    } else if (ret == BERTH_RET_OK) {
        if (!verdict_is_given(&context->channel.verdict))
            prepare_next(context->client, context);
        context_wait_closed(context);
    }
    context_release(context);
    if (ret == BERTH_RET_ERR && done)
        done(BERTH_RET_ERR, (const uint8_t *)BERTH_TEXT_ALREADY_RECYCLING, sizeof BERTH_TEXT_ALREADY_RECYCLING - 1,
             user_data);
    return ret;
}
