/* The hot way out.
 *
 * The baton makes one thread at a time the reply ring's consumer. A blocked caller that gets it drains the ring itself
 * (no thread hop); one that does not sleeps on its request's parker, linked in `waiters` so that whoever gives the
 * baton up can call the next. The giver clears the baton and then looks for waiters, a waiter links itself and then
 * looks at the baton; both sequentially consistent, so one sees the other. The baton is never held while host code
 * runs. */
#include <stdlib.h>

#include "context.h"
#include "kill_point.h"
#include "raw_io.h"
#include "status.h"

int baton_take(struct context *context) {
    uint32_t free_baton = 0;
    if (!__atomic_compare_exchange_n(&context->baton, &free_baton, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return 0;
    if (context->poll_armed) {
        context->poll_armed = 0;
        if (berth_ring_finish_wait(&context->reply_ring) == BERTH_AWAKE)
            __atomic_store_n(&context->poll_dirty, 1, __ATOMIC_RELAXED);
    }
    return 1;
}

static int wants_poll(const struct context *context) {
    return (__atomic_load_n(&context->poll_mode, __ATOMIC_SEQ_CST) &&
            !__atomic_load_n(&context->poll_looks, __ATOMIC_SEQ_CST)) ||
           __atomic_load_n(&context->reap_asleep, __ATOMIC_SEQ_CST);
}

/* 0: there are frames, so whoever polls is to be told. */
static int arm_poll(struct context *context) {
    context->poll_armed = (uint32_t)berth_ring_prepare_wait(&context->reply_ring, BERTH_ASLEEP_FD);
    return (int)context->poll_armed;
}

static void call_next_waiter(struct context *context) {
    pthread_mutex_lock(&context->waiters_lock);
    if (context->waiters_first)
        parker_unpark(context->waiters_first->parker);
    pthread_mutex_unlock(&context->waiters_lock);
}

static void call_waiters(struct context *context) {
    pthread_mutex_lock(&context->waiters_lock);
    for (struct baton_waiter *waiter = context->waiters_first; waiter; waiter = waiter->next)
        parker_unpark(waiter->parker);
    pthread_mutex_unlock(&context->waiters_lock);
}

void baton_pass_on(struct context *context) {
    if (__atomic_load_n(&context->baton_wanted, __ATOMIC_SEQ_CST) &&
        !__atomic_load_n(&context->baton, __ATOMIC_SEQ_CST))
        call_next_waiter(context);
}

static int verdict_open(const struct context *context) {
    return __atomic_load_n(&context->failed, __ATOMIC_SEQ_CST) && !__atomic_load_n(&context->settled, __ATOMIC_SEQ_CST);
}

void baton_give(struct context *context) {
    int armed, tell;
    do {
        if (verdict_open(context))
            context_settle(context);
        armed = wants_poll(context);
        tell = armed && !arm_poll(context);
        __atomic_store_n(&context->baton, 0, __ATOMIC_SEQ_CST);
        /* Not before: berth_reap would come, find the baton taken, and go back to sleep. */
        if (tell)
            reap_signal(context);
        /* Who came since the looks above found the baton taken, and leaves the rest to us. */
    } while ((verdict_open(context) || (!armed && wants_poll(context))) && baton_take(context));
    if (__atomic_load_n(&context->baton_wanted, __ATOMIC_SEQ_CST))
        call_next_waiter(context);
}

void waiter_link(struct context *context, struct baton_waiter *waiter) {
    pthread_mutex_lock(&context->waiters_lock);
    waiter->next = NULL;
    waiter->previous = context->waiters_last;
    if (waiter->previous)
        waiter->previous->next = waiter;
    else
        context->waiters_first = waiter;
    context->waiters_last = waiter;
    __atomic_fetch_add(&context->baton_wanted, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&context->waiters_lock);
}

void waiter_unlink(struct context *context, struct baton_waiter *waiter) {
    pthread_mutex_lock(&context->waiters_lock);
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        context->waiters_first = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    else
        context->waiters_last = waiter->previous;
    __atomic_fetch_sub(&context->baton_wanted, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&context->waiters_lock);
}

struct completion *completion_new(uint32_t kind, uint64_t id, int32_t ret, berth_callback callback, void *user_data,
                                  const void *data, size_t len) {
    struct completion *completion = malloc(sizeof *completion + len + 1);
    if (!completion)
        return NULL;
    *completion = (struct completion){NULL, id, kind, ret, callback, user_data, len};
    if (len)
        memcpy(completion->data, data, len);
    completion->data[len] = 0;
    return completion;
}

void completion_push(struct context *context, struct completion_queue *queue, struct completion *completion) {
    pthread_mutex_lock(&context->queue_lock);
    if (queue->last)
        queue->last->next = completion;
    else
        queue->first = completion;
    queue->last = completion;
    __atomic_store_n(&queue->count, queue->count + 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&context->queue_lock);
}

struct completion *completion_pop(struct context *context, struct completion_queue *queue) {
    if (!__atomic_load_n(&queue->count, __ATOMIC_ACQUIRE))
        return NULL;
    pthread_mutex_lock(&context->queue_lock);
    struct completion *completion = queue->first;
    if (completion) {
        queue->first = completion->next;
        if (!queue->first)
            queue->last = NULL;
        __atomic_store_n(&queue->count, queue->count - 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&context->queue_lock);
    return completion;
}

int context_complete(struct context *context, uint32_t kind, uint64_t id, int32_t ret, berth_callback callback,
                     void *user_data, const void *data, size_t len) {
    struct completion *completion = completion_new(kind, id, ret, callback, user_data, data, len);
    if (!completion)
        return -ENOMEM;
    completion_push(context, callback ? &context->for_callbacks : &context->for_reap, completion);
    if (callback) {
        parker_unpark(&context->reply_parker);
        context_poke(context);
    } else {
        reap_signal(context);
    }
    return 0;
}

uint32_t context_poke_seen(const struct context *context) {
    return __atomic_load_n(&context->poke, __ATOMIC_SEQ_CST);
}

void context_poke(struct context *context) {
    __atomic_fetch_add(&context->poke, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&context->ring_asleep, __ATOMIC_SEQ_CST) &&
        berth_ring_kick(context->reply_ring.control) == BERTH_ASLEEP_FD)
        reap_signal(context);
}

static void answer_blocked(struct request *request, struct request *own, int ret, const void *data, size_t len) {
    reply_set(request->reply, ret, data, len);
    __atomic_store_n(&request->state, REQUEST_DONE, __ATOMIC_RELEASE);
    if (request != own)
        parker_unpark(&request->parker);
}

/* PENDING → COMPLETING. 0: it is abandoned. */
static int claim(struct request *request) {
    for (;;) {
        uint32_t state = REQUEST_PENDING;
        if (__atomic_compare_exchange_n(&request->state, &state, REQUEST_COMPLETING, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return 1;
        if (state != REQUEST_COMPLETING)
            return 0;
        berth_spin_pause(); /* a ping looks at it */
    }
}

/* The one place where a request gets its answer. One's own needs no claim: only its caller can abandon it. 0; -ENOMEM, -ENOBUFS: nothing was done, come again. */
static int answer(struct context *context, struct request *request, struct request *own, struct reap_sink *sink,
                  int ret, const void *data, size_t len) {
    if (request != own && !claim(request)) {
        request_free(context, request); /* abandoned: it has had its answer */
        return 0;
    }
    if (request->kind == REQUEST_BLOCKING) {
        answer_blocked(request, own, ret, data, len);
        return 0;
    }
    if (request->kind == REQUEST_INTERNAL) {
        request_free(context, request);
        return 0;
    }
    int rc = 0;
    if (request->kind == REQUEST_POLL && sink) {
        if (!reap_sink_put(context, sink, BERTH_REPLY, request->id, ret, request->user_data, data, len))
            rc = -ENOBUFS;
    } else {
        rc = context_complete(context, BERTH_REPLY, request->id, ret,
                              request->kind == REQUEST_CALLBACK ? request->callback : NULL, request->user_data, data,
                              len);
    }
    if (rc) {
        __atomic_store_n(&request->state, REQUEST_PENDING, __ATOMIC_RELEASE);
        return rc;
    }
    if (request->kind == REQUEST_CALLBACK)
        __atomic_fetch_sub(&context->callbacks_owed, 1, __ATOMIC_SEQ_CST);
    request_free(context, request);
    return 0;
}

void context_settle(struct context *context) {
    int ret = (int)context->fail_ret;
    /* What the worker had answered before it died is still good. */
    if (ret != BERTH_RET_PROTOCOL)
        while (context_drain(context, NULL, NULL, 1024) > 0) {
        }
    for (uint32_t slot = 0; slot < context_slots(context); slot++) {
        struct request *request = &context->requests[slot];
        uint32_t state = __atomic_load_n(&request->state, __ATOMIC_ACQUIRE);
        if (state == REQUEST_PENDING && ret == BERTH_RET_RECYCLED)
            context->cut_off++;
        while (state != REQUEST_FREE && state != REQUEST_DONE &&
               answer(context, request, NULL, NULL, ret, context->fail_data, context->fail_len) != 0)
            raw_syscall(SYS_poll, 0, 0, 1, 0, 0);
    }
    BERTH_KILL_POINT("host.all_answered");
    context_settled(context);
    __atomic_store_n(&context->settled, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&context->ended, __ATOMIC_SEQ_CST))
        context_stop_threads(context);
    if (__atomic_load_n(&context->restart_pending, __ATOMIC_SEQ_CST))
        client_kick(context->client);
    parker_unpark(&context->reply_parker);
    reap_signal(context);
    call_waiters(context);
}

static int known_answer(uint32_t ret) {
    return ret == BERTH_RET_OK || ret == BERTH_RET_ERR || ret == BERTH_RET_TOO_LARGE || ret == BERTH_RET_RECYCLED ||
           ret == BERTH_RET_CANCELLED;
}

static void create_answered(struct context *context, const struct berth_frame_header *header, const void *data) {
    if (header->code != BERTH_RET_OK) {
        context_fail(context, header->code, data, header->size);
        return;
    }
    BERTH_KILL_POINT("host.create_answer_taken");
    pthread_mutex_lock(&context->submit_lock);
    context_move(context, CONTEXT_CREATED);
    context->created = 1;
    uint32_t restarts = context->restarts;
    pthread_mutex_unlock(&context->submit_lock);
    if (restarts)
        context_notice_count(context, "restarted", "restarts", restarts);
}

/* 0, or a negative errno: -EBADMSG when no honest worker sends such a frame. */
static int take_reply(struct context *context, const struct berth_frame_header *header, const uint8_t *payload,
                      struct request *own, struct reap_sink *sink) {
    uint32_t slot = (uint32_t)header->id;
    if (slot >= context->max_in_flight || !known_answer(header->code))
        return -EBADMSG;
    struct request *request = &context->requests[slot];
    uint32_t state = __atomic_load_n(&request->state, __ATOMIC_ACQUIRE);
    if (state == REQUEST_FREE || state == REQUEST_DONE || request->id != header->id)
        return -EBADMSG;
    const void *data = payload;
    size_t len = header->size;
    if (header->code == BERTH_RET_ERR && len == 0) {
        data = BERTH_TEXT_UNKNOWN_ERROR;
        len = sizeof BERTH_TEXT_UNKNOWN_ERROR - 1;
    }
    if (header->code == BERTH_RET_RECYCLED)
        context->cut_off++;
    if (header->id == __atomic_load_n(&context->create_id, __ATOMIC_ACQUIRE))
        create_answered(context, header, payload);
    return answer(context, request, own, sink, (int)header->code, data, len);
}

static int take_frame(struct context *context, const struct berth_frame_header *header, const uint8_t *payload,
                      struct request *own, struct reap_sink *sink) {
    if (header->kind == BERTH_FRAME_REPLY)
        return take_reply(context, header, payload, own, sink);
    if (header->kind == BERTH_FRAME_PROGRESS)
        return context_take_progress(context, header, payload, sink);
    /* Recycling: the worker's death showed before its last word was read. */
    uint32_t state = context_state(context);
    if (header->kind != BERTH_FRAME_CLOSED || header->code > BERTH_KILLED ||
        (state != CONTEXT_RECYCLE_PENDING && state != CONTEXT_RECYCLING))
        return -EBADMSG;
    BERTH_KILL_POINT("host.closed_taken");
    __atomic_store_n(&context->closed_outcome, header->code, __ATOMIC_RELAXED);
    context_fail(context, BERTH_RET_RECYCLED, BERTH_TEXT_CUT_OFF, sizeof BERTH_TEXT_CUT_OFF - 1);
    return 0;
}

int context_drain(struct context *context, struct request *own, struct reap_sink *sink, int most) {
    struct berth_frame_header header;
    const uint8_t *payload;
    int taken = 0;
    while (taken < most) {
        int rc = berth_ring_peek(&context->reply_ring, &header, &payload);
        if (rc == 0)
            break;
        if (rc > 0) {
            BERTH_KILL_POINT("host.answer_found");
            rc = take_frame(context, &header, payload, own, sink);
            BERTH_KILL_POINT("host.answer_taken");
        }
        if (rc == -ENOBUFS)
            break;
        if (rc == -ENOMEM) {
            raw_syscall(SYS_poll, 0, 0, 1, 0, 0);
            break;
        }
        if (rc < 0) {
            static const char text[] = "the worker sent a frame that cannot be";
            context_fail(context, BERTH_RET_PROTOCOL, text, sizeof text - 1);
            break;
        }
        berth_ring_advance(&context->reply_ring);
        BERTH_KILL_POINT("host.answer_released");
        taken++;
        if (own && __atomic_load_n(&own->state, __ATOMIC_RELAXED) == REQUEST_DONE)
            break;
    }
    return taken;
}

static void sleep_on_ring(struct context *context, uint32_t poke, uint64_t deadline_ns) {
    struct berth_ring_consumer *ring = &context->reply_ring;
    if (!berth_ring_prepare_wait(ring, BERTH_ASLEEP_FUTEX))
        return;
    context_watch(context);
    __atomic_store_n(&context->ring_asleep, 1, __ATOMIC_SEQ_CST);
    if (context_poke_seen(context) == poke)
        berth_ring_sleep(ring, deadline_ns);
    __atomic_store_n(&context->ring_asleep, 0, __ATOMIC_RELAXED);
    berth_ring_finish_wait(ring);
}

int context_wait_reply(struct context *context, uint32_t poke, uint64_t deadline_ns) {
    uint64_t started;
    if (berth_ring_spin(&context->reply_ring, &context->spin, &context->poke, poke, deadline_ns, &started))
        return 1;
    sleep_on_ring(context, poke, deadline_ns);
    if (started)
        berth_spin_learn(&context->spin, berth_now_ns() - started);
    return 0;
}

static int passed(uint64_t deadline_ns) { return deadline_ns && berth_now_ns() >= deadline_ns; }

static int done(const struct context *context, const struct request *request) {
    if (!request)
        return __atomic_load_n(&context->settled, __ATOMIC_ACQUIRE) != 0;
    return __atomic_load_n(&request->state, __ATOMIC_ACQUIRE) == REQUEST_DONE;
}

void context_lead(struct context *context, struct request *request, uint64_t deadline_ns) {
    while (!done(context, request)) {
        uint32_t poke = context_poke_seen(context);
        if (context_drain(context, request, NULL, 64) > 0)
            continue;
        if (__atomic_load_n(&context->failed, __ATOMIC_ACQUIRE) || passed(deadline_ns))
            break;
        if (context_state(context) == CONTEXT_ACTIVE)
            context_wait_reply(context, poke, deadline_ns);
        else /* an open or a close takes longer than spinning is for, and would teach it the wrong gap */
            sleep_on_ring(context, poke, deadline_ns);
    }
    baton_give(context);
}

static void follow(struct context *context, struct request *request, uint64_t deadline_ns) {
    for (uint32_t i = 0; context->spin.allowed && i < BERTH_SPIN_BLIND; i++) {
        if (done(context, request) || !__atomic_load_n(&context->baton, __ATOMIC_RELAXED))
            return;
        berth_spin_pause();
    }
    struct parker parker = {PARKER_EMPTY};
    struct baton_waiter waiter = {request ? &request->parker : &parker, NULL, NULL};
    waiter_link(context, &waiter);
    if (!done(context, request) && __atomic_load_n(&context->baton, __ATOMIC_SEQ_CST))
        parker_park(waiter.parker, deadline_ns);
    waiter_unlink(context, &waiter);
}

int context_wait_request(struct context *context, struct request *request, uint64_t deadline_ns) {
    while (!done(context, request) && !passed(deadline_ns)) {
        if (baton_take(context)) {
            context_lead(context, request, deadline_ns);
            continue;
        }
        follow(context, request, deadline_ns);
        /* Called, but with nothing left to wait for: the call was for the baton, so it goes on to the next. */
        if (done(context, request) || passed(deadline_ns))
            baton_pass_on(context);
    }
    return done(context, request);
}
