#include "ffi_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DRAIN_NS 1500000000u

static const char no_context[] = "ctx is not a valid FFI context";
static const char recycling[] = "FFI context is not accepting requests (being recycled)";
static const char recycling_already[] = "requestRecycle: context is not Active (already recycling)";
static const char exhausted[] = "FFI context pool exhausted (max 32 contexts)";
static const char stuck[] = "event queue stuck - library cannot accept new requests";
static const char reentrant[] = "error in sendRequestToFFIThread: reentrant ffi call: a handler invoked "
                                "sendRequestToFFIThread on its own context";
static const char cancelled[] = "the request was cancelled: its context is being destroyed";

static struct ffi_context pool[NIMFFI_MAX_CONTEXTS];
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool on_ffi_thread;

uint64_t ffi_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int refuse(FFICallback cb, void *ud, const char *text) {
    cb(RET_ERR, text, strlen(text), ud);
    return RET_ERR;
}

bool ffi_valid(const void *ctx) {
    bool valid = false;
    pthread_mutex_lock(&pool_lock);
    for (size_t i = 0; i < NIMFFI_MAX_CONTEXTS; i++)
        valid = valid || (ctx == &pool[i] && pool[i].in_use);
    pthread_mutex_unlock(&pool_lock);
    return valid;
}

uint32_t ffi_contexts_in_use(void) {
    uint32_t count = 0;
    pthread_mutex_lock(&pool_lock);
    for (size_t i = 0; i < NIMFFI_MAX_CONTEXTS; i++)
        count += pool[i].in_use;
    pthread_mutex_unlock(&pool_lock);
    return count;
}

static struct ffi_context *claim(void) {
    struct ffi_context *found = NULL;
    pthread_mutex_lock(&pool_lock);
    for (size_t i = 0; i < NIMFFI_MAX_CONTEXTS && !found; i++)
        if (!pool[i].in_use)
            found = &pool[i];
    if (found) {
        memset(found, 0, sizeof *found);
        found->in_use = true;
    }
    pthread_mutex_unlock(&pool_lock);
    return found;
}

static void give_back(struct ffi_context *context) {
    pthread_mutex_lock(&pool_lock);
    context->in_use = false;
    pthread_mutex_unlock(&pool_lock);
}

static struct ffi_request *request_new(struct ffi_context *context, uint32_t method, FFICallback cb, void *ud,
                                       const void *data, size_t len) {
    struct ffi_request *request = calloc(1, sizeof *request);
    *request = (struct ffi_request){
        .context = context, .method = method, .cb = cb, .ud = ud, .data = calloc(1, len + 1), .len = len};
    if (len)
        memcpy(request->data, data, len);
    return request;
}

void ffi_forget(struct ffi_request *request) {
    free(request->data);
    free(request);
}

void ffi_answer(struct ffi_request *request, int ret, const void *data, size_t len) {
    if (ret == RET_ERR && len == 0)
        data = "unknown error", len = 13;
    request->cb(ret, data, len, request->ud);
    ffi_forget(request);
}

void ffi_later(struct ffi_request *request, uint64_t ms) {
    struct ffi_context *context = request->context;
    request->due_ns = ffi_now_ns() + ms * 1000000u;
    pthread_mutex_lock(&context->lock);
    struct ffi_request **at = &context->waiting;
    while (*at && (*at)->due_ns <= request->due_ns)
        at = &(*at)->next;
    request->next = *at;
    *at = request;
    pthread_mutex_unlock(&context->lock);
}

static struct ffi_request *pop(struct ffi_request **list) {
    struct ffi_request *first = *list;
    if (first)
        *list = first->next;
    return first;
}

static struct ffi_request *dequeue(struct ffi_context *context) {
    struct ffi_request *first = pop(&context->queue);
    if (!context->queue)
        context->queue_end = &context->queue;
    return first;
}

static void enqueue(struct ffi_context *context, struct ffi_request *request) {
    *context->queue_end = request;
    context->queue_end = &request->next;
    pthread_cond_signal(&context->work);
}

static void wait_until(struct ffi_context *context, uint64_t until_ns) {
    struct timespec until = {(time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u)};
    if (until_ns)
        pthread_cond_timedwait(&context->work, &context->lock, &until);
    else
        pthread_cond_wait(&context->work, &context->lock);
}

/* The next request to run, or NULL when the context is drained. With the lock. */
static struct ffi_request *next_request(struct ffi_context *context) {
    for (;;) {
        uint64_t now = ffi_now_ns(), until = context->waiting ? context->waiting->due_ns : 0;
        if (context->queue)
            return dequeue(context);
        if (context->waiting && until <= now)
            return pop(&context->waiting);
        if (context->lifecycle == FFI_RECYCLE_PENDING) {
            context->lifecycle = FFI_RECYCLING;
            context->drain_until_ns = now + DRAIN_NS;
        }
        if (context->lifecycle == FFI_RECYCLING && (!context->waiting || now >= context->drain_until_ns))
            return NULL;
        if (context->lifecycle == FFI_RECYCLING && context->drain_until_ns < until)
            until = context->drain_until_ns;
        wait_until(context, until);
    }
}

static void release(struct ffi_context *context) {
    FFICallback cb = context->destroy_cb;
    void *ud = context->destroy_ud;
    pthread_mutex_lock(&context->lock);
    context->events_stop = true;
    pthread_cond_signal(&context->event_work);
    pthread_mutex_unlock(&context->lock);
    pthread_join(context->event_thread, NULL);
    ffi_library.destroy(context);
    ffi_events_clear(context);
    if (!cb) /* somebody waits in the blocking destroy, and frees */
        return;
    pthread_detach(pthread_self());
    give_back(context);
    cb(RET_OK, "", 0, ud);
}

static void *ffi_loop(void *arg) {
    struct ffi_context *context = arg;
    struct ffi_request *request;
    on_ffi_thread = true;
    pthread_mutex_lock(&context->lock);
    while ((request = next_request(context))) {
        pthread_mutex_unlock(&context->lock);
        ffi_library.handle(context, request);
        pthread_mutex_lock(&context->lock);
    }
    while ((request = pop(&context->waiting))) {
        pthread_mutex_unlock(&context->lock);
        ffi_answer(request, RET_ERR, cancelled, sizeof cancelled - 1);
        pthread_mutex_lock(&context->lock);
    }
    pthread_mutex_unlock(&context->lock);
    release(context);
    return NULL;
}

struct ffi_context *ffi_create(const void *data, size_t len, FFICallback cb, void *ud) {
    pthread_condattr_t monotonic;
    if (!cb)
        return NULL;
    struct ffi_context *context = claim();
    if (!context) {
        refuse(cb, ud, exhausted);
        return NULL;
    }
    context->queue_end = &context->queue;
    context->events_end = &context->events;
    pthread_mutex_init(&context->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&context->work, &monotonic);
    pthread_cond_init(&context->event_work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enqueue(context, request_new(context, 0, cb, ud, data, len));
    pthread_create(&context->event_thread, NULL, ffi_event_loop, context);
    pthread_create(&context->thread, NULL, ffi_loop, context);
    return context;
}

int ffi_submit(void *ctx, uint32_t method, FFICallback cb, void *ud, const void *data, size_t len) {
    struct ffi_context *context = ctx;
    const char *why = NULL;
    if (!cb)
        return RET_MISSING_CALLBACK;
    if (!ffi_valid(ctx))
        return refuse(cb, ud, no_context);
    if (on_ffi_thread)
        return refuse(cb, ud, reentrant);
    pthread_mutex_lock(&context->lock);
    if (context->lifecycle != FFI_ACTIVE)
        why = recycling;
    else if (context->events_stuck)
        why = stuck;
    else
        enqueue(context, request_new(context, method, cb, ud, data, len));
    pthread_mutex_unlock(&context->lock);
    return why ? refuse(cb, ud, why) : RET_OK;
}

static void *static_call(void *request) {
    on_ffi_thread = true;
    ffi_library.handle(NULL, request);
    return NULL;
}

int ffi_submit_static(uint32_t method, FFICallback cb, void *ud, const void *data, size_t len) {
    pthread_t thread;
    if (!cb)
        return RET_MISSING_CALLBACK;
    if (on_ffi_thread)
        return refuse(cb, ud, reentrant);
    pthread_create(&thread, NULL, static_call, request_new(NULL, method, cb, ud, data, len));
    pthread_detach(thread);
    return RET_OK;
}

/* NULL, or why it cannot be. */
static const char *begin_recycle(void *ctx, FFICallback cb, void *ud) {
    struct ffi_context *context = ctx;
    if (!ffi_valid(ctx))
        return no_context;
    if (on_ffi_thread)
        return reentrant;
    pthread_mutex_lock(&context->lock);
    bool active = context->lifecycle == FFI_ACTIVE;
    if (active) {
        context->destroy_cb = cb;
        context->destroy_ud = ud;
        context->lifecycle = FFI_RECYCLE_PENDING;
        pthread_cond_signal(&context->work);
    }
    pthread_mutex_unlock(&context->lock);
    return active ? NULL : recycling_already;
}

int ffi_destroy_async(void *ctx, FFICallback cb, void *ud) {
    if (!cb)
        return RET_MISSING_CALLBACK;
    const char *why = begin_recycle(ctx, cb, ud);
    return why ? refuse(cb, ud, why) : RET_OK;
}

int ffi_destroy_blocking(void *ctx) {
    struct ffi_context *context = ctx;
    struct timespec until;
    if (begin_recycle(ctx, NULL, NULL))
        return RET_ERR;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 4;
    /* A thread that a handler holds is left behind, with its slot, as the original does. */
    if (pthread_timedjoin_np(context->thread, NULL, &until) != 0)
        return RET_ERR;
    give_back(context);
    return RET_OK;
}
