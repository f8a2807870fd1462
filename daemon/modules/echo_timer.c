/* A binary heap by due time (and by arrival where two are due together), and one thread, begun with the first entry,
 * that waits for its top. A cancelled entry becomes due at once, so that answering, which may wait for a slow host, stays with this thread and
 * never holds up the control thread. */
#include "echo.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t due_ns;
    uint64_t order;
    berth_request request;
    bool cancelled;
    size_t len;
    void *data;
};

struct echo_timer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool started, stopping;
    uint64_t arrivals;
    struct entry *heap;
    size_t count, capacity;
};

static bool before(const struct entry *a, const struct entry *b) {
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void rise(struct entry *heap, size_t i) {
    for (; i > 0 && before(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2) {
        struct entry moved = heap[i];
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = moved;
    }
}

static void sink(struct entry *heap, size_t count, size_t i) {
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++)
            if (before(&heap[child], &heap[least]))
                least = child;
        if (least == i)
            return;
        struct entry moved = heap[i];
        heap[i] = heap[least];
        heap[least] = moved;
        i = least;
    }
}

static struct entry take_first(struct echo_timer *timer) {
    struct entry first = timer->heap[0];
    timer->heap[0] = timer->heap[--timer->count];
    sink(timer->heap, timer->count, 0);
    return first;
}

static void answer(struct entry *entry) {
    if (entry->cancelled)
        echo_worker->reply(entry->request, 1, ECHO_CANCELLED, strlen(ECHO_CANCELLED));
    else
        echo_worker->reply(entry->request, 0, entry->data, entry->len);
    free(entry->data);
}

static void answer_first(struct echo_timer *timer) {
    struct entry first = take_first(timer);
    first.cancelled = first.cancelled || timer->stopping;
    pthread_mutex_unlock(&timer->lock);
    answer(&first);
    pthread_mutex_lock(&timer->lock);
}

static void *run(void *argument) {
    struct echo_timer *timer = argument;
    pthread_mutex_lock(&timer->lock);
    while (!timer->stopping || timer->count > 0) {
        if (timer->count == 0)
            pthread_cond_wait(&timer->changed, &timer->lock);
        else if (timer->stopping || timer->heap[0].due_ns <= echo_due_in(0))
            answer_first(timer);
        else
            echo_cond_wait_until(&timer->changed, &timer->lock, timer->heap[0].due_ns);
    }
    pthread_mutex_unlock(&timer->lock);
    return NULL;
}

struct echo_timer *echo_timer_new(void) {
    struct echo_timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    pthread_mutex_init(&timer->lock, NULL);
    if (echo_cond_init(&timer->changed))
        return timer;
    free(timer);
    return NULL;
}

void echo_timer_free(struct echo_timer *timer) {
    pthread_mutex_lock(&timer->lock);
    timer->stopping = true;
    pthread_cond_signal(&timer->changed);
    pthread_mutex_unlock(&timer->lock);
    if (timer->started)
        pthread_join(timer->thread, NULL);
    pthread_cond_destroy(&timer->changed);
    pthread_mutex_destroy(&timer->lock);
    free(timer->heap);
    free(timer);
}

static bool make_room(struct echo_timer *timer) {
    if (timer->count < timer->capacity)
        return true;
    size_t capacity = timer->capacity > 0 ? 2 * timer->capacity : 16;
    struct entry *heap = realloc(timer->heap, capacity * sizeof *heap);
    if (!heap)
        return false;
    timer->heap = heap;
    timer->capacity = capacity;
    return true;
}

static bool start(struct echo_timer *timer) {
    if (!timer->started)
        timer->started = pthread_create(&timer->thread, NULL, run, timer) == 0;
    return timer->started;
}

bool echo_timer_add(struct echo_timer *timer, uint64_t due_ns, berth_request request, const void *data, size_t len) {
    void *copy = malloc(len + 1);
    pthread_mutex_lock(&timer->lock);
    bool added = copy && make_room(timer) && start(timer);
    if (added) {
        memcpy(copy, data, len);
        timer->heap[timer->count] =
            (struct entry){.due_ns = due_ns, .order = timer->arrivals++, .request = request, .len = len, .data = copy};
        rise(timer->heap, timer->count++);
        pthread_cond_signal(&timer->changed);
    }
    pthread_mutex_unlock(&timer->lock);
    if (!added)
        free(copy);
    return added;
}

void echo_timer_cancel(struct echo_timer *timer, berth_request request) {
    pthread_mutex_lock(&timer->lock);
    size_t i = 0;
    while (i < timer->count && timer->heap[i].request != request)
        i++;
    if (i < timer->count) {
        timer->heap[i].due_ns = 0;
        timer->heap[i].cancelled = true;
        rise(timer->heap, i);
        pthread_cond_signal(&timer->changed);
    }
    pthread_mutex_unlock(&timer->lock);
}
