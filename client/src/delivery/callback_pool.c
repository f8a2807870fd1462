#include "delivery/callback_pool.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alarm.h"
#include "base/own_thread.h"
#include "base/parker.h"
#include "base/raw_io.h"
#include "base/signal_mask.h"

#define CALLBACK_STACK ((size_t)1 << 20)
#define KEEP_IDLE 2u /* an answer thread and an event thread */

struct callback_thread {
    struct callback_thread *next;
    struct callback_pool *pool;
    pthread_t thread;
    struct parker parker;
    void (*body)(void *); /* NULL: nothing to do yet */
    void *context;
};

/* What an idle thread is given to end it. */
static void end(void *context) { (void)context; }

void callback_pool_init(struct callback_pool *pool, struct alarm *alarm) {
    *pool = (struct callback_pool){.alarm = alarm};
    pthread_mutex_init(&pool->lock, NULL);
}

static void push(struct callback_thread **list, struct callback_thread *thread) {
    thread->next = *list;
    *list = thread;
}

static struct callback_thread *pop(struct callback_thread **list) {
    struct callback_thread *first = *list;
    if (first)
        *list = first->next;
    return first;
}

/* 0: it is to end, and is on the list of those. */
static int become_idle(struct callback_thread *thread) {
    struct callback_pool *pool = thread->pool;
    pthread_mutex_lock(&pool->lock);
    int stays = !pool->stopping && pool->idle_count < KEEP_IDLE;
    pool->working--;
    __atomic_store_n(&thread->body, NULL, __ATOMIC_RELAXED);
    push(stays ? &pool->idle : &pool->over, thread);
    pool->idle_count += (uint32_t)stays;
    if (!stays)
        alarm_ring(pool->alarm);
    pthread_mutex_unlock(&pool->lock);
    return stays;
}

static void wait_for_context(struct callback_thread *thread) {
    sigset_t own;
    signal_mask_own(&own); /* the host may have changed it in a callback */
    pthread_sigmask(SIG_SETMASK, &own, NULL);
    while (!__atomic_load_n(&thread->body, __ATOMIC_ACQUIRE))
        parker_park(&thread->parker, 0);
}

static void *run(void *argument) {
    struct callback_thread *thread = argument;
    own_thread_mark();
    while (thread->body != end) {
        thread->body(thread->context);
        if (!become_idle(thread))
            return NULL;
        wait_for_context(thread);
    }
    return NULL;
}

static void give(struct callback_thread *thread, void (*body)(void *), void *context) {
    thread->context = context;
    __atomic_store_n(&thread->body, body, __ATOMIC_RELEASE);
    parker_unpark(&thread->parker);
}

static int start(struct callback_pool *pool, void (*body)(void *), void *context) {
    sigset_t own, before;
    pthread_attr_t attributes;
    struct callback_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return ENOMEM;
    *thread = (struct callback_thread){.pool = pool, .body = body, .context = context};
    signal_mask_own(&own);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, CALLBACK_STACK);
    pthread_sigmask(SIG_SETMASK, &own, &before);
    int rc = pthread_create(&thread->thread, &attributes, run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (rc)
        free(thread);
    return rc;
}

int callback_pool_run(struct callback_pool *pool, void (*body)(void *), void *context) {
    int rc = 0;
    pthread_mutex_lock(&pool->lock);
    struct callback_thread *thread = pop(&pool->idle);
    if (thread) {
        pool->idle_count--;
        give(thread, body, context);
    } else {
        rc = start(pool, body, context);
    }
    pool->working += rc == 0;
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void callback_pool_join(struct callback_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    struct callback_thread *over = pool->over;
    pool->over = NULL;
    pthread_mutex_unlock(&pool->lock);
    for (struct callback_thread *thread; (thread = pop(&over));) {
        pthread_join(thread->thread, NULL);
        free(thread);
    }
}

static uint32_t end_idle(struct callback_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    uint32_t working = pool->working;
    pool->stopping = 1;
    for (struct callback_thread *thread; (thread = pop(&pool->idle));) {
        push(&pool->over, thread);
        give(thread, end, NULL);
    }
    pthread_mutex_unlock(&pool->lock);
    return working;
}

void callback_pool_stop(struct callback_pool *pool) {
    while (end_idle(pool))
        raw_pause(1);
    callback_pool_join(pool);
}
