/* A context's memory and its verdict; open.c, close.c, control_thread.c and tick.c have the rest of its cold half. */
#include "context.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "fork_guard.h"
#include "raw_io.h"
#include "status.h"

struct handle_table berth_contexts = HANDLE_TABLE_INIT;

struct context *context_acquire(berth_context handle, int *why) {
    if (fork_guard_is_child()) {
        *why = BERTH_RET_FORKED;
        return NULL;
    }
    struct context *context = handle_acquire(&berth_contexts, handle.bits);
    *why = BERTH_RET_INVALID_CTX;
    return context;
}

uint32_t context_state(const struct context *context) { return __atomic_load_n(&context->state, __ATOMIC_SEQ_CST); }

int context_move(struct context *context, enum context_event event) {
    int next = context_fsm_next(context->state, event);
    if (next < 0)
        return -1;
    __atomic_store_n(&context->state, (uint32_t)next, __ATOMIC_SEQ_CST); /* before a look at `opened` */
    return 0;
}

int context_is_opened(const struct context *context) { return __atomic_load_n(&context->opened, __ATOMIC_SEQ_CST); }

static void free_completions(struct completion *first) {
    while (first) {
        struct completion *next = first->next;
        free(first);
        first = next;
    }
}

static size_t requests_size(uint32_t max_in_flight) { return max_in_flight * sizeof(struct request); }

static void context_free(struct context *context) {
    uint64_t handle = context->handle;
    segment_destroy(&context->segment);
    raw_close(context->doorbell);
    raw_close(context->poll_fd);
    raw_close(context->segment_fd);
    free_completions(context->reaped);
    free_completions(context->for_reap.first);
    free_completions(context->for_events.first);
    listeners_free(context);
    free(context->arena);
    free(context->fail_data);
    free(context->methods);
    free(context->module);
    free(context->config);
    if (context->requests)
        munmap(context->requests, requests_size(context->max_in_flight));
    free(context);
    if (handle)
        handle_free_slot(&berth_contexts, handle);
}

void context_release(struct context *context) {
    if (handle_release(&berth_contexts, context->handle))
        context_free(context);
}

/* As the kernel gives them, zero and not there before they are used: calloc would clear a freed array again. */
static int make_requests(struct context *context, uint32_t max_in_flight) {
    void *memory = mmap(NULL, requests_size(max_in_flight), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    context->requests = memory == MAP_FAILED ? NULL : memory;
    context->max_in_flight = max_in_flight;
    return context->requests ? 0 : -ENOMEM;
}

void context_attach_rings(struct context *context) {
    struct berth_segment_header *header = context->segment.header;
    uint64_t capacity;
    uint8_t *bytes = segment_ring(&context->segment, BERTH_RING_REQUEST, &capacity);
    berth_ring_attach_producer(&context->request_ring, &header->control[BERTH_RING_REQUEST], bytes, capacity);
    bytes = segment_ring(&context->segment, BERTH_RING_URGENT, &capacity);
    berth_ring_attach_producer(&context->urgent_ring, &header->control[BERTH_RING_URGENT], bytes, capacity);
    bytes = segment_ring(&context->segment, BERTH_RING_REPLY, &capacity);
    berth_ring_attach_consumer(&context->reply_ring, &header->control[BERTH_RING_REPLY], bytes, capacity);
    bytes = segment_ring(&context->segment, BERTH_RING_EVENT, &capacity);
    berth_ring_attach_consumer(&context->event_ring, &header->control[BERTH_RING_EVENT], bytes, capacity);
}

static void init_locks(struct context *context) {
    pthread_mutex_t *locks[] = {&context->submit_lock, &context->waiters_lock, &context->queue_lock,
                                &context->threads_lock, &context->event_lock,  &context->listen_lock};
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        pthread_mutex_init(locks[i], NULL);
    pthread_cond_init(&context->listen_idle, NULL);
    berth_spin_init(&context->spin);
    context->reply_spin = context->spin;
}

struct context *context_new(struct client *client, const struct berth_open_options *options, int *segment_fd) {
    struct context *context = aligned_alloc(128, (sizeof *context + 127) & ~(size_t)127);
    if (!context)
        return NULL;
    memset(context, 0, sizeof *context);
    context->client = client;
    context->worker_pidfd = -1;
    context->segment_fd = -1;
    context->drain_ms = BERTH_DRAIN_TIMEOUT_MS;
    context->teardown_ms = BERTH_TEARDOWN_TIMEOUT_MS;
    context->stale_warn_ms = options && options->stale_warn_ms ? options->stale_warn_ms : BERTH_STALE_WARN_MS;
    uint32_t in_flight = options && options->max_in_flight ? options->max_in_flight : BERTH_DEFAULT_IN_FLIGHT;
    init_locks(context);
    context->poll_fd = (int)raw_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0);
    context->doorbell = (int)raw_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0);
    *segment_fd = -1;
    if (context->poll_fd < 0 || context->doorbell < 0 || make_requests(context, in_flight) != 0 ||
        segment_create(&context->segment, in_flight, segment_fd) != 0)
        goto failed;
    context_attach_rings(context);
    context->handle = handle_new(&berth_contexts, context);
    if (context->handle)
        return context;
failed:
    raw_close(*segment_fd);
    context_free(context);
    return NULL;
}

void context_fail(struct context *context, uint32_t ret, const void *data, size_t len) {
    pthread_mutex_lock(&context->submit_lock);
    if (context->failed) {
        pthread_mutex_unlock(&context->submit_lock);
        return;
    }
    /* In a close every request left ends as cut off, whatever ended the worker. */
    if (context->state == CONTEXT_RECYCLE_PENDING && ret != BERTH_RET_RECYCLED) {
        ret = BERTH_RET_RECYCLED;
        data = BERTH_TEXT_CUT_OFF;
        len = sizeof BERTH_TEXT_CUT_OFF - 1;
        __atomic_store_n(&context->closed_outcome, context_is_opened(context) ? BERTH_KILLED : BERTH_DRAINED, __ATOMIC_RELAXED);
    }
    context->fail_data = malloc(len + 1);
    if (context->fail_data && len)
        memcpy(context->fail_data, data, len);
    context->fail_len = context->fail_data ? len : 0;
    __atomic_store_n(&context->fail_ret, ret, __ATOMIC_RELEASE);
    if (context->state == CONTEXT_ACTIVE && ret == BERTH_RET_WORKER_DIED && context->config)
        __atomic_store_n(&context->restart_pending, 1, __ATOMIC_SEQ_CST);
    context_move(context, CONTEXT_ENDED);
    __atomic_store_n(&context->failed, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&context->submit_lock);
    context_poke(context);
    event_thread_wake(context);
}

void context_fail_now(struct context *context, uint32_t ret, const void *data, size_t len) {
    context_fail(context, ret, data, len);
    if (baton_take(context))
        baton_give(context);
}

void context_end(struct context *context) {
    __atomic_store_n(&context->ended, 1, __ATOMIC_SEQ_CST);
    handle_end(&berth_contexts, context->handle);
    context_stop_threads(context);
}
