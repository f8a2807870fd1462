/* Closing a context: no more requests, then the worker's CLOSED frame, its death or the bound, then the last callback. */
#include "cbor_map.h"
#include "context.h"
#include "kill_point.h"
#include "raw_io.h"
#include "status.h"

#define CLOSE_SLACK_MS 2000u
#define QUICK_CLOSE_NS 2000000u

static size_t close_payload(const struct context *context, uint8_t *out, size_t capacity) {
    static const char *const names[] = {"drained", "cancelled", "killed"};
    const char *name = names[__atomic_load_n(&context->closed_outcome, __ATOMIC_RELAXED)];
    size_t at = cbor_encode_map_start(2, out, capacity);
    at = cbor_map_put_text(out, at, capacity, "outcome", name, strlen(name));
    return cbor_map_put_number(out, at, capacity, "cut_off", context->cut_off);
}

static void queue_close_done(struct context *context) {
    uint8_t payload[64];
    size_t len = close_payload(context, payload, sizeof payload);
    while (context_complete(context, BERTH_NOTICE, 0, BERTH_RET_OK, context->close_done, context->close_user_data,
                            payload, len) != 0)
        raw_syscall(SYS_poll, 0, 0, 1, 0, 0);
}

/* Answers that berth_reap has yet to hand out keep a closed context's handle alive. */
static int left_to_reap(struct context *context) {
    return __atomic_load_n(&context->for_reap.count, __ATOMIC_ACQUIRE) != 0;
}

/* With submit_lock: marks a close that went without `closing` as said; the next open says it. */
static uint64_t say_later(struct context *context) {
    if (!context_is_opened(context) || context->closing_said_on == context->known_on ||
        __atomic_load_n(&context->failed, __ATOMIC_ACQUIRE))
        return 0;
    context->closing_said_on = context->known_on;
    return context->id;
}

static void leave_for_next_open(struct client *client, uint64_t id, uint64_t connection) {
    pthread_mutex_lock(&client->lock);
    client->just_closed = id;
    client->just_closed_on = connection;
    pthread_mutex_unlock(&client->lock);
}

void context_settled(struct context *context) {
    pthread_mutex_lock(&context->submit_lock);
    int closing = context->state == CONTEXT_RECYCLING;
    /* The answer to `create` may have been the last word of a worker that died: then there is a handle to close. */
    int open_failed = __atomic_load_n(&context->create_id, __ATOMIC_ACQUIRE) && !context->created;
    int over = closing || open_failed;
    uint64_t unsaid = closing ? say_later(context) : 0, connection = context->known_on;
    context_move(context, over && !closing ? CONTEXT_ABANDON : CONTEXT_SETTLED);
    pthread_mutex_unlock(&context->submit_lock);
    if (unsaid)
        leave_for_next_open(context->client, unsaid, connection);
    if (closing && context->close_done)
        queue_close_done(context);
    over = over && !left_to_reap(context);
    __atomic_store_n(&context->ended, (uint32_t)over, __ATOMIC_SEQ_CST);
    if (over)
        handle_end(&berth_contexts, context->handle);
}

/* Once: where a close meets OPENED, both its thread and the control thread come here. The supervisor takes a second word
 * of a context that has ended by then for one of a context that is not ours, and drops the connection. */
void context_send_closing(struct context *context) {
    pthread_mutex_lock(&context->submit_lock);
    uint64_t id = context->id, connection = context->known_on;
    int said = context->closing_said_on == connection;
    context->closing_said_on = connection;
    uint32_t ms = 2 * context->drain_ms + context->teardown_ms;
    pthread_mutex_unlock(&context->submit_lock);
    if (!said) {
        client_send_closing(context->client, connection, id, ms);
        BERTH_KILL_POINT("host.closing_sent");
    }
}

void context_leave_worker(struct context *context) {
    context_send_urgent(context, BERTH_FRAME_CLOSE, 0);
    if (context_is_opened(context))
        context_send_closing(context);
}

/* What a lost context is to become shows when it is settled: one whose open failed is over by itself. */
static void lock_settled(struct context *context) {
    for (;;) {
        pthread_mutex_lock(&context->submit_lock);
        if (context->state != CONTEXT_LOST || __atomic_load_n(&context->settled, __ATOMIC_ACQUIRE))
            return;
        pthread_mutex_unlock(&context->submit_lock);
        context_wait_request(context, NULL, 0);
    }
}

int context_begin_close(struct context *context, berth_callback done, void *user_data) {
    lock_settled(context);
    uint32_t state = context->state;
    int accepted = context_fsm_next(state, CONTEXT_CLOSE) >= 0;
    if (accepted && state != CONTEXT_LOST) {
        context->close_done = done;
        context->close_user_data = user_data;
        uint32_t ms = 2 * context->drain_ms + context->teardown_ms + CLOSE_SLACK_MS;
        __atomic_store_n(&context->close_bound_ns, berth_now_ns() + (uint64_t)ms * 1000000u, __ATOMIC_RELEASE);
        if (done)
            __atomic_fetch_add(&context->callbacks_owed, 1, __ATOMIC_SEQ_CST);
        context_move(context, CONTEXT_CLOSE);
    } else if (accepted) {
        /* Before the state says so: berth_reap may then end the context, and with it the thread that runs `done`. */
        context->close_done = done;
        context->close_user_data = user_data;
        __atomic_store_n(&context->closed_outcome, BERTH_KILLED, __ATOMIC_RELAXED);
        if (done)
            queue_close_done(context);
        context_move(context, CONTEXT_CLOSE);
    }
    pthread_mutex_unlock(&context->submit_lock);
    if (!accepted)
        return state == CONTEXT_CLOSED ? BERTH_RET_CLOSED : BERTH_RET_ERR;
    if (state == CONTEXT_LOST) {
        if (!left_to_reap(context))
            context_end(context);
        return 0;
    }
    __atomic_store_n(&context->announce_ns, berth_now_ns() + QUICK_CLOSE_NS, __ATOMIC_RELEASE);
    parker_unpark(&context->reply_parker);
    BERTH_KILL_POINT("host.close_begun");
    context_ask_to_close(context);
    return 0;
}

void context_announce_close(struct context *context) {
    __atomic_store_n(&context->announce_ns, 0, __ATOMIC_RELAXED);
    context_send_urgent(context, BERTH_FRAME_CLOSE, 0);
    BERTH_KILL_POINT("host.close_sent");
    if (context_is_opened(context)) /* else context_opened sees the state */
        context_send_closing(context);
    context_arm_tick(context, context->close_bound_ns);
}

void context_wait_closed(struct context *context) {
    if (context_wait_request(context, NULL, __atomic_load_n(&context->announce_ns, __ATOMIC_RELAXED)))
        return;
    context_announce_close(context);
    context_wait_request(context, NULL, 0);
}

int berth_close(berth_context handle, berth_callback done, void *user_data) {
    int why;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return why;
    int ret = done && reply_thread_need(context) != 0 ? BERTH_RET_EXHAUSTED : BERTH_RET_OK;
    if (ret == BERTH_RET_OK)
        ret = context_begin_close(context, done, user_data);
    if (ret == BERTH_RET_OK && done)
        context_arm_tick(context, __atomic_load_n(&context->announce_ns, __ATOMIC_RELAXED));
    else if (ret == BERTH_RET_OK)
        context_wait_closed(context);
    context_release(context);
    if (ret == BERTH_RET_ERR && done)
        done(BERTH_RET_ERR, (const uint8_t *)BERTH_TEXT_ALREADY_RECYCLING, sizeof BERTH_TEXT_ALREADY_RECYCLING - 1,
             user_data);
    return ret;
}
