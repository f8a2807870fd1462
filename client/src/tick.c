/* What is due for a context, by the control thread's clock: bounds of open and close, progress pings, the grace after a
 * worker's death, and giving a burst's pages back. A context without requests has nothing due. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "context.h"
#include "raw_io.h"
#include "status.h"

void context_arm_tick(struct context *context, uint64_t due_ns) {
    uint64_t due = __atomic_load_n(&context->tick_due_ns, __ATOMIC_SEQ_CST);
    while (due == 0 || due > due_ns) {
        if (__atomic_compare_exchange_n(&context->tick_due_ns, &due, due_ns, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            client_kick_at(context->client, due_ns);
            return;
        }
    }
}

static uint64_t ping_one(struct context *context, struct request *request, uint64_t now) {
    char text[24];
    if (request->kind == REQUEST_BLOCKING || request->next_ping_ns == UINT64_MAX)
        return 0;
    if (now >= request->next_ping_ns) {
        unsigned long long ms = (now - request->submitted_ns) / 1000000;
        int len = snprintf(text, sizeof text, "%llu", ms);
        context_complete(context, BERTH_PROGRESS, request->id, BERTH_RET_STALE_WARN,
                         request->kind == REQUEST_CALLBACK ? request->callback : NULL, request->user_data, text,
                         (size_t)len);
        request->next_ping_ns = now + (uint64_t)context->stale_warn_ms * 1000000u;
    }
    return request->next_ping_ns;
}

static uint64_t sooner(uint64_t a, uint64_t b) { return !a || (b && b < a) ? b : a; }

/* A request is claimed while it is looked at, so that no ping follows its answer. */
static uint64_t ping_stale(struct context *context, uint64_t now) {
    uint64_t next = 0;
    for (uint32_t slot = 0; slot < context_slots(context) && context->stale_warn_ms != UINT32_MAX; slot++) {
        struct request *request = &context->requests[slot];
        uint32_t pending = REQUEST_PENDING;
        if (__atomic_load_n(&request->state, __ATOMIC_RELAXED) != REQUEST_PENDING ||
            !__atomic_compare_exchange_n(&request->state, &pending, REQUEST_COMPLETING, 0, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED))
            continue;
        next = sooner(next, ping_one(context, request, now));
        __atomic_store_n(&request->state, REQUEST_PENDING, __ATOMIC_RELEASE);
    }
    return next;
}

void context_watch(struct context *context) {
    if (!__atomic_load_n(&context->liveness_wanted, __ATOMIC_RELAXED))
        return;
    uint64_t due = __atomic_load_n(&context->tick_due_ns, __ATOMIC_SEQ_CST), want = coarse_now_ns() + LIVENESS_LOOK_NS;
    if (!due || due > want)
        context_arm_tick(context, want);
}

static int any_in_flight(const struct context *context) {
    for (uint32_t slot = 0; slot < context_slots(context); slot++) {
        uint32_t state = __atomic_load_n(&context->requests[slot].state, __ATOMIC_RELAXED);
        if (state != REQUEST_FREE && state != REQUEST_DONE)
            return 1;
    }
    return 0;
}

/* By /proc: the third field of stat, behind the name in parentheses. */
static int is_stopped(uint32_t pid) {
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    long fd = raw_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
    if (fd < 0)
        return 0;
    long len = raw_syscall(SYS_read, fd, (long)text, sizeof text - 1, 0, 0);
    raw_close((int)fd);
    text[len > 0 ? len : 0] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end && (strncmp(name_end, ") T", 3) == 0 || strncmp(name_end, ") t", 3) == 0);
}

/* Only while somebody wants to know and something is owed. */
static uint64_t look_alive(struct context *context, uint64_t now) {
    if (!__atomic_load_n(&context->liveness_wanted, __ATOMIC_ACQUIRE) || context_state(context) != CONTEXT_ACTIVE ||
        !context_is_opened(context))
        return 0;
    const struct berth_segment_header *header = context->segment.header;
    const struct berth_ring_control *ring = &header->control[BERTH_RING_REQUEST];
    struct liveness_look look = {.now_ns = now,
                                 .head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE),
                                 .tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED),
                                 .turns = __atomic_load_n(&header->handler_turns, __ATOMIC_RELAXED),
                                 .owed = any_in_flight(context)};
    look.stopped = liveness_is_stale(&context->liveness, &look) && is_stopped(context->worker_pid);
    const char *cause = NULL;
    uint64_t ms;
    switch (liveness_judge(&context->liveness, &look, &cause, &ms)) {
    case LIVENESS_NOT_RESPONDING: context_notice_cause(context, cause, ms); break;
    case LIVENESS_RESPONDING: context_notice_count(context, "responding", "ms", ms); break;
    case LIVENESS_NOTHING: break;
    }
    return look.owed || look.head != look.tail || look.turns % 2 ? now + LIVENESS_LOOK_NS : 0;
}

/* Gives back the pages that a burst touched beyond the hot window, once the worker has read them all. */
static uint64_t trim(struct context *context, uint64_t now) {
    uint64_t next = 0;
    struct berth_ring_producer *ring = &context->request_ring;
    pthread_mutex_lock(&context->submit_lock);
    if (ring->high_water > 2 * BERTH_HOT_WINDOW) {
        if (berth_ring_refresh_head(ring) == 0 && ring->head_seen == ring->tail &&
            now - context->last_large_ns >= TRIM_AFTER_NS) {
            madvise(ring->bytes + BERTH_HOT_WINDOW, ((ring->high_water + 4095) & ~(uint64_t)4095) - BERTH_HOT_WINDOW,
                    MADV_REMOVE);
            ring->high_water = BERTH_HOT_WINDOW;
        } else {
            next = now + TRIM_AFTER_NS;
        }
    }
    pthread_mutex_unlock(&context->submit_lock);
    return next;
}

uint64_t context_tick(struct context *context, uint64_t now) {
    uint64_t next = 0, due = __atomic_load_n(&context->tick_due_ns, __ATOMIC_SEQ_CST);
    if (!due || due > now)
        return due;
    __atomic_store_n(&context->tick_due_ns, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&context->settled, __ATOMIC_ACQUIRE))
        return 0;
    uint64_t close_bound = __atomic_load_n(&context->close_bound_ns, __ATOMIC_ACQUIRE);
    if (close_bound && now >= close_bound) {
        __atomic_store_n(&context->closed_outcome, BERTH_KILLED, __ATOMIC_RELAXED);
        context_fail_now(context, BERTH_RET_RECYCLED, BERTH_TEXT_CUT_OFF, sizeof BERTH_TEXT_CUT_OFF - 1);
        return 0;
    }
    next = sooner(next, close_bound);
    uint64_t announce = __atomic_load_n(&context->announce_ns, __ATOMIC_ACQUIRE);
    if (announce && now >= announce)
        context_announce_close(context);
    else
        next = sooner(next, announce);
    next = sooner(next, reclaim_bound(context, now));
    if (context->open_bound_ns && context_state(context) == CONTEXT_OPENING) {
        static const char late[] = "the open was not answered before its deadline", gone[] = "the supervisor is gone";
        int alone = !context_is_opened(context) && __atomic_load_n(&context->client->disconnected, __ATOMIC_ACQUIRE);
        if (now >= context->open_bound_ns) {
            context_leave_worker(context);
            context_fail_now(context, alone ? BERTH_RET_UNAVAILABLE : BERTH_RET_TIMEOUT, alone ? gone : late,
                             alone ? sizeof gone - 1 : sizeof late - 1);
        }
        next = sooner(next, context->open_bound_ns);
    }
    if (context->died_ns && now >= context->died_ns + DIED_GRACE_NS)
        context_died(context, NULL);
    else if (context->died_ns)
        next = sooner(next, context->died_ns + DIED_GRACE_NS);
    next = sooner(next, ping_stale(context, now));
    next = sooner(next, look_alive(context, now));
    next = sooner(next, trim(context, now));
    if (next)
        context_arm_tick(context, next);
    return next;
}
