/* Poll mode: answers and events in batches, and a descriptor that says when.
 *
 * poll_fd is an eventfd that the worker writes when it publishes into a ring left at ASLEEP_FD, and that threads of
 * this process write when they queue a completion. It is cleared before the rings and the queue are looked at, so a
 * completion that comes later makes it readable again; a wakeup for nothing is possible and harmless. */
#include <stdlib.h>

#include "context.h"
#include "raw_io.h"

#define ARENA_BATCH ((size_t)256 << 10)

void reap_signal(struct context *context) {
    if (!__atomic_load_n(&context->poll_mode, __ATOMIC_SEQ_CST) &&
        !__atomic_load_n(&context->reap_asleep, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(&context->poll_dirty, 1, __ATOMIC_SEQ_CST);
    raw_signal(context->poll_fd);
}

static void clear_poll(struct context *context) {
    if (__atomic_exchange_n(&context->poll_dirty, 0, __ATOMIC_SEQ_CST) && !raw_clear(context->poll_fd))
        __atomic_store_n(&context->poll_dirty, 1, __ATOMIC_SEQ_CST); /* the write is still on its way */
}

static int arena_room(struct context *context, struct reap_sink *sink, size_t len) {
    size_t need = sink->arena_used + len;
    if (need <= context->arena_size)
        return 1;
    if (need > ARENA_BATCH && sink->arena_used)
        return 0; /* the batch is large enough; this one heads the next */
    size_t size = need > ARENA_BATCH ? need : ARENA_BATCH;
    uint8_t *arena = realloc(context->arena, size);
    if (!arena)
        return 0;
    context->arena = arena;
    context->arena_size = size;
    return 1;
}

int reap_sink_put(struct context *context, struct reap_sink *sink, uint32_t kind, uint64_t id, int32_t ret,
                  void *user_data, const void *data, size_t len) {
    if (sink->count == sink->capacity || !arena_room(context, sink, len))
        return 0;
    if (len)
        memcpy(context->arena + sink->arena_used, data, len);
    sink->out[sink->count++] =
        (struct berth_completion){id, kind, ret, (const uint8_t *)(uintptr_t)sink->arena_used, len, user_data};
    sink->arena_used += (len + 15) & ~(size_t)15;
    if (sink->arena_used > context->arena_size)
        sink->arena_used = context->arena_size;
    return 1;
}

static void take_queued(struct context *context, struct reap_sink *sink) {
    if (!__atomic_load_n(&context->for_reap.count, __ATOMIC_ACQUIRE))
        return;
    struct completion_queue *queue = &context->for_reap;
    pthread_mutex_lock(&context->queue_lock);
    while (queue->first && sink->count < sink->capacity) {
        struct completion *completion = queue->first;
        queue->first = completion->next;
        if (!queue->first)
            queue->last = NULL;
        __atomic_store_n(&queue->count, queue->count - 1, __ATOMIC_RELEASE);
        completion->next = context->reaped;
        context->reaped = completion;
        sink->out[sink->count++] = (struct berth_completion){completion->id,  completion->kind, completion->ret,
                                                             completion->data, completion->len,  completion->user_data};
    }
    pthread_mutex_unlock(&context->queue_lock);
    sink->direct_from = sink->count;
}

static int reaps_events(struct context *context) {
    return !__atomic_load_n(&context->event_thread_started, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&context->segment.header->events_wanted, __ATOMIC_RELAXED);
}

static void take_events(struct context *context, struct reap_sink *sink, int arm) {
    if (!reaps_events(context))
        return;
    pthread_mutex_lock(&context->event_lock);
    if (!reaps_events(context)) {
        pthread_mutex_unlock(&context->event_lock);
        return;
    }
    if (context->event_armed) {
        context->event_armed = 0;
        if (berth_ring_finish_wait(&context->event_ring) == BERTH_AWAKE)
            __atomic_store_n(&context->poll_dirty, 1, __ATOMIC_RELAXED);
    }
    while (context_take_event(context, sink) > 0) {
    }
    if (arm) {
        if (berth_ring_prepare_wait(&context->event_ring, BERTH_ASLEEP_FD))
            context->event_armed = 1;
        else
            reap_signal(context);
    }
    pthread_mutex_unlock(&context->event_lock);
}

static void take_answers(struct context *context, struct reap_sink *sink) {
    take_queued(context, sink);
    if (sink->count < sink->capacity && baton_take(context)) {
        context_drain(context, NULL, sink, 1 << 20);
        baton_give(context);
    }
}

static void gather(struct context *context, struct reap_sink *sink, int arm) {
    take_answers(context, sink);
    if (sink->count < sink->capacity || arm)
        take_events(context, sink, arm);
}

/* Spins where it pays; 1 when there may be something now. */
static int spin_for_any(struct context *context) {
    if (!context->spin.allowed || !baton_take(context))
        return 0;
    struct berth_spin_turn turn;
    int found = 0;
    uint64_t *event_tail = &context->event_ring.control->tail;
    uint64_t event_head = 0;
    int events = reaps_events(context); /* else the ring, and its lock, are the event thread's */
    if (events) {
        pthread_mutex_lock(&context->event_lock);
        event_head = context->event_ring.head;
        pthread_mutex_unlock(&context->event_lock);
    }
    berth_spin_begin(&context->spin, &turn);
    do {
        for (int i = 0; i < 64 && !found; i++)
            found = berth_ring_ready(&context->reply_ring) ||
                    (events && __atomic_load_n(event_tail, __ATOMIC_ACQUIRE) != event_head);
    } while (!found && !__atomic_load_n(&context->for_reap.count, __ATOMIC_RELAXED) &&
             !__atomic_load_n(&context->failed, __ATOMIC_RELAXED) && berth_spin_again(&context->spin, &turn));
    if (found)
        berth_spin_learn(&context->spin, berth_now_ns() - turn.started);
    baton_give(context);
    return found;
}

static int left_ms(uint64_t deadline_ns) {
    if (!deadline_ns)
        return -1;
    uint64_t now = berth_now_ns();
    return now >= deadline_ns ? 0 : (int)((deadline_ns - now + 999999) / 1000000);
}

static int over(const struct context *context) {
    return __atomic_load_n(&context->settled, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&context->restart_pending, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&context->for_reap.count, __ATOMIC_ACQUIRE);
}

static void sleep_for_any(struct context *context, struct reap_sink *sink, uint64_t deadline_ns) {
    uint64_t began = berth_now_ns();
    __atomic_store_n(&context->reap_asleep, 1, __ATOMIC_SEQ_CST);
    gather(context, sink, 1);
    if (!sink->count && !over(context)) {
        struct pollfd poll = {context->poll_fd, POLLIN, 0};
        raw_syscall(SYS_poll, (long)&poll, 1, left_ms(deadline_ns), 0, 0);
    }
    __atomic_store_n(&context->reap_asleep, 0, __ATOMIC_SEQ_CST);
    /* Whoever saw us asleep may have written. */
    __atomic_store_n(&context->poll_dirty, 1, __ATOMIC_SEQ_CST);
    if (context->spin.allowed && baton_take(context)) {
        berth_spin_learn(&context->spin, berth_now_ns() - began);
        baton_give(context);
    }
}

static void free_reaped(struct context *context) {
    while (context->reaped) {
        struct completion *completion = context->reaped;
        context->reaped = completion->next;
        free(completion);
    }
}

static void point_into_arena(struct context *context, struct reap_sink *sink) {
    for (size_t i = sink->direct_from; i < sink->count; i++)
        sink->out[i].data = context->arena + (uintptr_t)sink->out[i].data;
}

/* Events keep their ring armed, and a context's end is told by a berth_reap that is none of these. */
static int look(struct context *context, struct berth_completion *out, size_t capacity) {
    struct reap_sink sink = {out, capacity, 0, 0, 0};
    free_reaped(context);
    __atomic_store_n(&context->poll_looks, 1, __ATOMIC_SEQ_CST);
    take_answers(context, &sink);
    point_into_arena(context, &sink);
    return (int)sink.count;
}

static int reap(struct context *context, struct berth_completion *out, size_t capacity, int timeout_ms) {
    struct reap_sink sink = {out, capacity, 0, 0, 0};
    uint64_t deadline_ns = timeout_ms > 0 ? berth_now_ns() + (uint64_t)timeout_ms * 1000000u : 0;
    int poll_mode = __atomic_load_n(&context->poll_mode, __ATOMIC_RELAXED) != 0;
    free_reaped(context);
    __atomic_store_n(&context->poll_looks, 0, __ATOMIC_SEQ_CST);
    for (;;) {
        if (__atomic_load_n(&context->poll_dirty, __ATOMIC_RELAXED))
            clear_poll(context);
        gather(context, &sink, poll_mode);
        /* A wakeup whose frame was read long ago can be late: with nothing found, the descriptor may not stay readable.
         * What came between the look and the clearing is found by looking again. */
        if (!sink.count && poll_mode && raw_clear(context->poll_fd))
            gather(context, &sink, poll_mode);
        if (sink.count || timeout_ms == 0 || over(context))
            break;
        if (spin_for_any(context))
            continue;
        sleep_for_any(context, &sink, deadline_ns);
        if (sink.count || (deadline_ns && left_ms(deadline_ns) == 0))
            break;
    }
    if (poll_mode && sink.count == capacity)
        reap_signal(context); /* there may be more */
    point_into_arena(context, &sink);
    if (!sink.count && over(context)) {
        if (context_state(context) != CONTEXT_CLOSED)
            return -(int)context->fail_ret;
        context_end(context); /* the last answer is out */
        return -BERTH_RET_CLOSED;
    }
    return (int)sink.count;
}

int berth_reap(berth_context handle, struct berth_completion *out, size_t capacity, int timeout_ms) {
    int why;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return -why;
    int result = -BERTH_RET_INVALID_ARGUMENT;
    if (out && capacity) {
        uint32_t idle = 0;
        result = -BERTH_RET_BUSY;
        if (__atomic_compare_exchange_n(&context->reaping, &idle, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            size_t most = capacity > INT32_MAX ? INT32_MAX : capacity;
            result = timeout_ms == BERTH_LOOK ? look(context, out, most) : reap(context, out, most, timeout_ms);
            __atomic_store_n(&context->reaping, 0, __ATOMIC_RELEASE);
        }
    }
    context_release(context);
    return result;
}

int berth_poll_fd(berth_context handle) {
    int why;
    struct context *context = context_acquire(handle, &why);
    if (!context)
        return -why;
    __atomic_store_n(&context->poll_mode, 1, __ATOMIC_SEQ_CST);
    /* Readable at first: whatever came before is to be looked at. */
    reap_signal(context);
    int fd = context->poll_fd;
    context_release(context);
    return fd;
}
