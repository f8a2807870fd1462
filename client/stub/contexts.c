/* A context's address, as the host has it, is one in a region that is reserved and never mapped: nobody can read
 * through it, runtimes that look at pointers (Go's, say) take it for one, and it is looked up, not followed. Addresses
 * are given out in turn, so one that was destroyed stays unknown for the next 16 million contexts.
 *
 * `users` counts whoever may touch a context: its life (until destroyed), each request whose callback is to come, each
 * listener that runs, each thread inside a function. The last one frees it, and makes the last callback. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "stub.h"

#define REGION_SIZE ((size_t)256 << 20)
#define STRIDE ((size_t)16)
#define BUCKETS 1024u
#define FAILED 64u
#define CONTEXT_AWAITED 0x80000000u
#define WAIT_S 30

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t alone;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint8_t *region;
static size_t next_offset;
static struct stub_context *buckets[BUCKETS];
static void *failed[FAILED];
static uint32_t next_failed;

static void init(void) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&alone, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int saved = errno;
    void *reserved = mmap(NULL, REGION_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    region = reserved == MAP_FAILED ? NULL : reserved;
    errno = saved;
}

static struct stub_context **bucket_of(const void *address) {
    return &buckets[(uintptr_t)address / STRIDE % BUCKETS];
}

/* Where the context with that address is linked, or the end of its chain. With the lock. */
static struct stub_context **find(const void *address) {
    struct stub_context **at = bucket_of(address);
    while (*at && (*at)->address != address)
        at = &(*at)->next;
    return at;
}

static void *next_address(void) {
    do
        next_offset = (next_offset + STRIDE) % REGION_SIZE;
    while (*find(region + next_offset));
    return region + next_offset;
}

struct stub_context *stub_context_new(void) {
    pthread_once(&once, init);
    struct stub_context *context = region ? calloc(1, sizeof *context) : NULL;
    if (!context)
        return NULL;
    context->users = 2;
    pthread_sigmask(SIG_BLOCK, NULL, &context->mask);
    return context;
}

void stub_context_publish(struct stub_context *context) {
    pthread_mutex_lock(&lock);
    context->address = next_address();
    struct stub_context **bucket = bucket_of(context->address);
    context->next = *bucket;
    *bucket = context;
    pthread_mutex_unlock(&lock);
}

void stub_context_retract(struct stub_context *context) {
    pthread_mutex_lock(&lock);
    struct stub_context **at = find(context->address);
    if (*at)
        *at = context->next;
    pthread_mutex_unlock(&lock);
}

struct stub_context *stub_context_take(void *address) {
    if (!address || stub_forked())
        return NULL;
    pthread_mutex_lock(&lock);
    struct stub_context *context = *find(address);
    if (context)
        __atomic_fetch_add(&context->users, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
    return context;
}

void stub_context_hold(struct stub_context *context) { __atomic_fetch_add(&context->users, 1, __ATOMIC_RELAXED); }

static void finish(struct stub_context *context) {
    FFICallback cb = context->destroy_cb;
    void *ud = context->destroy_ud;
    if (context->connection)
        stub_connection_give(context->connection);
    free(context);
    if (cb && stub_is_callback_thread())
        stub_tell(cb, ud, BERTH_RET_OK, (const uint8_t *)"", 0);
    else if (cb) /* a thread of the host's was the last inside */
        stub_tell_done(cb, ud);
}

/* The flag is part of the count, as the context may be gone right after it. */
void stub_context_give(struct stub_context *context) {
    uint32_t before = __atomic_fetch_sub(&context->users, 1, __ATOMIC_ACQ_REL);
    if (before == 1) {
        finish(context);
    } else if (before == (CONTEXT_AWAITED | 2)) {
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&alone);
        pthread_mutex_unlock(&lock);
    }
}

int stub_context_wait_alone(struct stub_context *context) {
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&lock);
    __atomic_fetch_or(&context->users, CONTEXT_AWAITED, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&context->users, __ATOMIC_ACQUIRE) != (CONTEXT_AWAITED | 1) && rc == 0)
        rc = pthread_cond_timedwait(&alone, &lock, &until);
    __atomic_fetch_and(&context->users, ~CONTEXT_AWAITED, __ATOMIC_ACQ_REL);
    pthread_mutex_unlock(&lock);
    return rc == 0;
}

void stub_failed_remember(void *address) {
    pthread_mutex_lock(&lock);
    failed[next_failed++ % FAILED] = address;
    pthread_mutex_unlock(&lock);
}

int stub_failed_forget(void *address) {
    int found = 0;
    if (!address || stub_forked())
        return 0;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < FAILED && !found; i++) {
        found = failed[i] == address;
        if (found)
            failed[i] = NULL;
    }
    pthread_mutex_unlock(&lock);
    return found;
}
