/* What the ring has brought for callbacks and for berth_reap, and nobody has fetched yet. */
#ifndef BERTH_OUTBOX_H
#define BERTH_OUTBOX_H

#include <pthread.h>

#include "channel/slots.h"

/* One answer, event or notice on its way to a callback or to berth_reap. */
struct completion {
    struct completion *next;
    uint64_t id;
    uint32_t kind; /* BERTH_REPLY … */
    int32_t ret;
    berth_callback callback; /* NULL: for berth_reap */
    void *user_data;
    size_t len;
    uint8_t data[]; /* and a zero byte */
};

struct completion_queue {
    pthread_mutex_t lock;
    struct completion *first, *last; /* under lock */
    uint32_t count;                  /* atomic; changes under lock */
};

/* Unread answers take this much of a host's memory; further ones wait in the ring. Where they cannot, as a blocked
 * caller's own or the end of a close may lie behind them, they take the second at most: what comes then is TOO_LARGE. */
#define OUTBOX_BYTES ((uint64_t)64 << 20)
#define OUTBOX_BYTES_MOST ((uint64_t)256 << 20)
#define OUTBOX_PROGRESS_BYTES 255u

struct outbox {
    struct completion_queue for_callbacks, for_reap;
    uint64_t bytes;          /* in both; atomic */
    uint32_t notices;        /* in for_reap; atomic */
    uint32_t callbacks_owed; /* requests with a callback that are in flight, an accepted close included; atomic */
    struct parker reader;    /* the thread that runs callbacks */
};

void completion_queue_init(struct completion_queue *queue);
void completion_queue_deinit(struct completion_queue *queue);
struct completion *completion_new(uint32_t kind, uint64_t id, int32_t ret, berth_callback callback, void *user_data,
                                  const void *data, size_t len);
/* NULL: there is none. */
void completion_free(struct completion *completion);
void completion_push(struct completion_queue *queue, struct completion *completion);
struct completion *completion_pop(struct completion_queue *queue);
static inline uint32_t completion_count(const struct completion_queue *queue) {
    return __atomic_load_n(&queue->count, __ATOMIC_ACQUIRE);
}

void outbox_init(struct outbox *outbox);
void outbox_deinit(struct outbox *outbox);
/* Queues it, for the thread that runs callbacks or for berth_reap. The caller wakes them. 0 or -ENOMEM. */
int outbox_put(struct outbox *outbox, uint32_t kind, uint64_t id, int32_t ret, berth_callback callback, void *user_data,
               const void *data, size_t len);
/* The same with one that is made already. */
void outbox_push(struct outbox *outbox, struct completion *completion);
/* What is said of a request on its way takes the place of what was said before, if that is unread still. The request is
 * claimed. 0 or -ENOMEM. */
int outbox_put_progress(struct outbox *outbox, struct request *request, const void *text, size_t len);
/* The next one, which is the caller's to free; NULL: none. */
struct completion *outbox_take(struct outbox *outbox, struct slots *slots, struct completion_queue *queue);
static inline int outbox_is_full(const struct outbox *outbox, size_t more) {
    uint64_t bytes = __atomic_load_n(&outbox->bytes, __ATOMIC_RELAXED);
    return bytes && bytes + more > OUTBOX_BYTES;
}
static inline int outbox_has_no_more_room(const struct outbox *outbox, size_t more) {
    return __atomic_load_n(&outbox->bytes, __ATOMIC_RELAXED) + more > OUTBOX_BYTES_MOST;
}
static inline void outbox_owe(struct outbox *outbox, int more) {
    __atomic_fetch_add(&outbox->callbacks_owed, (uint32_t)more, __ATOMIC_SEQ_CST);
}
static inline int outbox_owes(const struct outbox *outbox) {
    return __atomic_load_n(&outbox->callbacks_owed, __ATOMIC_SEQ_CST) != 0;
}

#endif
