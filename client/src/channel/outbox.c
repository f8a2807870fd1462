#include "channel/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void completion_queue_init(struct completion_queue *queue) {
    *queue = (struct completion_queue){.first = NULL};
    pthread_mutex_init(&queue->lock, NULL);
}

void completion_queue_deinit(struct completion_queue *queue) {
    for (struct completion *next; queue->first; queue->first = next) {
        next = queue->first->next;
        free(queue->first);
    }
}

static size_t room_of(uint32_t kind, size_t len) {
    return kind == BERTH_PROGRESS && len < OUTBOX_PROGRESS_BYTES ? OUTBOX_PROGRESS_BYTES : len;
}

struct completion *completion_new(uint32_t kind, uint64_t id, int32_t ret, berth_callback callback, void *user_data,
                                  const void *data, size_t len) {
    struct completion *completion = malloc(sizeof *completion + room_of(kind, len) + 1);
    if (!completion)
        return NULL;
    *completion = (struct completion){NULL, id, kind, ret, callback, user_data, len};
    if (len)
        memcpy(completion->data, data, len);
    completion->data[len] = 0;
    return completion;
}

void completion_free(struct completion *completion) { free(completion); }

/* With the queue's lock. */
static void append(struct completion_queue *queue, struct completion *completion) {
    if (queue->last)
        queue->last->next = completion;
    else
        queue->first = completion;
    queue->last = completion;
    __atomic_store_n(&queue->count, queue->count + 1, __ATOMIC_RELEASE);
}

static struct completion *take_first(struct completion_queue *queue) {
    struct completion *completion = queue->first;
    if (!completion)
        return NULL;
    queue->first = completion->next;
    if (!queue->first)
        queue->last = NULL;
    __atomic_store_n(&queue->count, queue->count - 1, __ATOMIC_RELEASE);
    return completion;
}

void completion_push(struct completion_queue *queue, struct completion *completion) {
    pthread_mutex_lock(&queue->lock);
    append(queue, completion);
    pthread_mutex_unlock(&queue->lock);
}

struct completion *completion_pop(struct completion_queue *queue) {
    if (!completion_count(queue))
        return NULL;
    pthread_mutex_lock(&queue->lock);
    struct completion *completion = take_first(queue);
    pthread_mutex_unlock(&queue->lock);
    return completion;
}

void outbox_init(struct outbox *outbox) {
    completion_queue_init(&outbox->for_callbacks);
    completion_queue_init(&outbox->for_reap);
}

void outbox_deinit(struct outbox *outbox) {
    completion_queue_deinit(&outbox->for_callbacks);
    completion_queue_deinit(&outbox->for_reap);
}

static struct completion_queue *queue_for(struct outbox *outbox, berth_callback callback) {
    return callback ? &outbox->for_callbacks : &outbox->for_reap;
}

void outbox_push(struct outbox *outbox, struct completion *completion) {
    __atomic_fetch_add(&outbox->bytes, sizeof *completion + completion->len, __ATOMIC_RELAXED);
    if (completion->kind == BERTH_NOTICE && !completion->callback)
        __atomic_fetch_add(&outbox->notices, 1, __ATOMIC_RELAXED);
    completion_push(queue_for(outbox, completion->callback), completion);
}

int outbox_put(struct outbox *outbox, uint32_t kind, uint64_t id, int32_t ret, berth_callback callback, void *user_data,
               const void *data, size_t len) {
    struct completion *completion = completion_new(kind, id, ret, callback, user_data, data, len);
    if (!completion)
        return -ENOMEM;
    outbox_push(outbox, completion);
    return 0;
}

/* With the queue's lock. */
static int replace(struct outbox *outbox, struct request *request, const void *text, size_t len) {
    struct completion *queued = __atomic_load_n(&request->progress, __ATOMIC_RELAXED);
    if (!queued)
        return 0;
    __atomic_fetch_add(&outbox->bytes, len - queued->len, __ATOMIC_RELAXED);
    memcpy(queued->data, text, len);
    queued->data[len] = 0;
    queued->len = len;
    return 1;
}

int outbox_put_progress(struct outbox *outbox, struct request *request, const void *text, size_t len) {
    const struct request_options *to = &request->options;
    struct completion_queue *queue = queue_for(outbox, to->callback);
    pthread_mutex_lock(&queue->lock);
    int done = replace(outbox, request, text, len);
    if (!done) {
        struct completion *completion = completion_new(BERTH_PROGRESS, request_id(request), BERTH_RET_STALE_WARN,
                                                       to->callback, to->user_data, text, len);
        done = completion != NULL;
        if (done) {
            __atomic_fetch_add(&outbox->bytes, sizeof *completion + len, __ATOMIC_RELAXED);
            append(queue, completion);
            __atomic_store_n(&request->progress, completion, __ATOMIC_RELAXED);
        }
    }
    pthread_mutex_unlock(&queue->lock);
    return done ? 0 : -ENOMEM;
}

/* A slot that has gone on to another request no longer points here. */
static void forget_progress(struct slots *slots, const struct completion *completion) {
    struct request *request = slots_find(slots, completion->id);
    if (request && __atomic_load_n(&request->progress, __ATOMIC_RELAXED) == completion)
        __atomic_store_n(&request->progress, NULL, __ATOMIC_RELAXED);
}

struct completion *outbox_take(struct outbox *outbox, struct slots *slots, struct completion_queue *queue) {
    if (!completion_count(queue))
        return NULL;
    pthread_mutex_lock(&queue->lock);
    struct completion *completion = take_first(queue);
    if (completion && completion->kind == BERTH_PROGRESS)
        forget_progress(slots, completion);
    pthread_mutex_unlock(&queue->lock);
    if (!completion)
        return NULL;
    __atomic_fetch_sub(&outbox->bytes, sizeof *completion + completion->len, __ATOMIC_RELAXED);
    if (completion->kind == BERTH_NOTICE && !completion->callback)
        __atomic_fetch_sub(&outbox->notices, 1, __ATOMIC_RELAXED);
    return completion;
}
