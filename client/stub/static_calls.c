/* Calls without a context. berth's wait for their answer, so a few threads of the stub's do: each takes calls while
 * there are any, and ends. They are started by the host's threads and inherit their signal masks. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stub.h"

#define THREADS_MOST 4u
#define THREAD_STACK ((size_t)1 << 20)

struct static_call {
    struct static_call *next;
    const char *method; /* NULL: nothing is called, the answer is an empty OK */
    FFICallback cb;
    void *ud;
    size_t len;
    uint8_t data[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct static_call *first, **end = &first;
static unsigned threads;

static int call_on(struct stub_connection *connection, const struct static_call *call, struct berth_reply *reply) {
    return berth_call_static(connection->client, berth_stub_library.module, call->method, call->data, call->len, -1,
                             reply);
}

/* A supervisor that went away is looked for, or started, once more. OK: `reply` is the call's answer; else there is no
 * connection, and it has the reason. */
static int call_static(const struct static_call *call, struct berth_reply *reply) {
    struct stub_connection *connection;
    int answer = BERTH_RET_UNAVAILABLE;
    for (int tries = 0; tries < 2 && answer == BERTH_RET_UNAVAILABLE; tries++) {
        berth_reply_free(reply);
        int ret = stub_connection_take(&connection, reply);
        if (ret != BERTH_RET_OK)
            return ret;
        answer = call_on(connection, call, reply);
        if (answer == BERTH_RET_UNAVAILABLE)
            stub_connection_lost(connection);
        stub_connection_give(connection);
    }
    return BERTH_RET_OK;
}

/* A copy, as a zero byte is to follow. */
static void tell(const struct static_call *call, const struct berth_reply *reply) {
    uint8_t *copy = malloc(reply->len + 1);
    if (!copy) {
        stub_tell(call->cb, call->ud, BERTH_RET_EXHAUSTED, NULL, 0);
        return;
    }
    if (reply->len)
        memcpy(copy, reply->data, reply->len);
    copy[reply->len] = 0;
    stub_tell(call->cb, call->ud, reply->ret, copy, reply->len);
    free(copy);
}

static void run(const struct static_call *call) {
    struct berth_reply reply = {0};
    int ret = call_static(call, &reply);
    if (ret == BERTH_RET_OK)
        tell(call, &reply);
    else
        stub_refuse_why(call->cb, call->ud, ret, &reply);
    berth_reply_free(&reply);
}

/* The next call; NULL: none, and the thread is no longer counted. */
static struct static_call *next_call(void) {
    pthread_mutex_lock(&lock);
    struct static_call *call = first;
    if (call) {
        first = call->next;
        if (!first)
            end = &first;
    } else {
        threads--;
    }
    pthread_mutex_unlock(&lock);
    return call;
}

static void *run_calls(void *unused) {
    struct static_call *call;
    while ((call = next_call())) {
        if (call->method)
            run(call);
        else
            stub_tell(call->cb, call->ud, BERTH_RET_OK, (const uint8_t *)"", 0);
        free(call);
    }
    return unused;
}

static int start_thread(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attributes, run_calls, NULL);
    pthread_attr_destroy(&attributes);
    return rc;
}

/* 0, or -1: there is no thread to run it. */
static int enqueue(struct static_call *call) {
    int rc = 0;
    pthread_mutex_lock(&lock);
    if (threads < THREADS_MOST) {
        if (start_thread() == 0)
            threads++;
        else if (threads == 0)
            rc = -1;
    }
    if (rc == 0) {
        *end = call;
        end = &call->next;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int submit(const char *method, FFICallback cb, void *ud, const void *data, size_t len) {
    struct static_call *call = malloc(sizeof *call + len);
    if (!call)
        return stub_refuse(cb, ud, BERTH_RET_EXHAUSTED);
    *call = (struct static_call){.method = method, .cb = cb, .ud = ud, .len = len};
    if (len)
        memcpy(call->data, data, len);
    if (enqueue(call) == 0)
        return STUB_RET_OK;
    free(call);
    return stub_refuse(cb, ud, BERTH_RET_EXHAUSTED);
}

int stub_call_static(const char *method, FFICallback cb, void *ud, const void *data, size_t len) {
    if (!cb)
        return STUB_RET_MISSING_CALLBACK;
    if (stub_forked())
        return stub_refuse(cb, ud, BERTH_RET_FORKED);
    if (!data && len)
        return stub_refuse(cb, ud, BERTH_RET_INVALID_ARGUMENT);
    return submit(method, cb, ud, data, len);
}

int stub_tell_done(FFICallback cb, void *ud) { return submit(NULL, cb, ud, NULL, 0); }
