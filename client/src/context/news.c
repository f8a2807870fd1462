/* What a context's channel finds out, and what follows from it. With the baton held. */
#include "base/cbor_map.h"
#include "channel/baton.h"
#include "context/context.h"
#include "delivery/callback_threads.h"
#include "delivery/notices.h"
#include "kill_point.h"
#include "status.h"

static void end(struct context *context, uint32_t ret, const void *data, size_t len) {
    if (lease_end(&context->lease, ret, data, len))
        event_thread_wake(&context->delivery);
}

static void created(void *owner, uint32_t ret, const void *data, size_t len) {
    struct context *context = owner;
    if (ret != BERTH_RET_OK) {
        end(context, ret, data, len);
        return;
    }
    lease_created(&context->lease);
    if (context->lease.restarts)
        notice_count(&context->delivery, "restarted", "restarts", context->lease.restarts);
}

/* Recycling: the worker's death showed before its last word was read. Else the host asked for no close: the supervisor
 * has called the context back. */
static void closed(void *owner, uint32_t outcome, const void *text, size_t len) {
    struct context *context = owner;
    uint32_t state = lease_state(&context->lease);
    int asked = state == LEASE_CLOSING || state == LEASE_RECYCLING;
    if (asked)
        __atomic_store_n(&context->lease.outcome, outcome, __ATOMIC_RELAXED);
    if (asked || !len) {
        text = asked ? BERTH_TEXT_CUT_OFF : BERTH_TEXT_CALLED_BACK;
        len = strlen(text);
    }
    end(context, BERTH_RET_RECYCLED, text, len);
}

static void broken(void *owner, const char *text) { end(owner, BERTH_RET_PROTOCOL, text, strlen(text)); }

/* Answers that berth_reap has yet to hand out keep a closed context's handle alive. */
static int left_to_reap(const struct context *context) {
    return completion_count(&context->channel.outbox.for_reap) != 0;
}

static void fill_close_answer(const struct lease *lease, struct completion *answer) {
    static const char *const names[] = {"drained", "cancelled", "killed"};
    const char *name = names[__atomic_load_n(&lease->outcome, __ATOMIC_RELAXED)];
    size_t capacity = answer->len;
    size_t at = cbor_encode_map_start(2, answer->data, capacity);
    at = cbor_map_put_text(answer->data, at, capacity, "outcome", name, strlen(name));
    answer->len = cbor_map_put_number(answer->data, at, capacity, "cut_off", lease->cut_off);
}

void context_answer_close(struct context *context) {
    struct completion *answer = context->lease.close_answer;
    context->lease.close_answer = NULL;
    if (!answer)
        return;
    fill_close_answer(&context->lease, answer);
    berth_callback callback = answer->callback; /* the answer is the reply thread's from there on */
    outbox_push(&context->channel.outbox, answer);
    outbox_told(&context->channel, callback);
}

static void settled(void *owner, uint64_t cut_off) {
    struct context *context = owner;
    struct lease *lease = &context->lease;
    pthread_mutex_lock(&context->channel.submit_lock);
    lease->cut_off = cut_off;
    if (lease->state == LEASE_RECYCLING) {
        if (lease_has(lease, LEASE_HAS_WORKER))
            context->home->say_later(context);
        context_answer_close(context);
    }
    lease_move(lease, LEASE_SETTLED);
    int over = lease->state == LEASE_CLOSED && !left_to_reap(context);
    if (over)
        lease_move(lease, LEASE_REAPED);
    pthread_mutex_unlock(&context->channel.submit_lock);
    if (over)
        handle_end(&berth_contexts, context->handle);
}

static void over(void *owner) {
    struct context *context = owner;
    uint32_t state = lease_state(&context->lease);
    if (state == LEASE_OVER)
        callback_threads_stop(&context->delivery);
    else if (state == LEASE_PAUSED)
        alarm_ring(context->due.alarm);
}

static void waits(void *owner) { delivery_watch(&((struct context *)owner)->delivery); }
static void look_again(void *owner, uint64_t due_ns) { due_arm(&((struct context *)owner)->due, due_ns); }

const struct channel_owner context_news = {.created = created,
                                           .closed = closed,
                                           .broken = broken,
                                           .settled = settled,
                                           .over = over,
                                           .waits = waits,
                                           .look_again = look_again};
