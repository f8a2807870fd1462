#include "my_node.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ffi_context.h"

enum { NEW, START, STOP, ANSWER, PUBLISH, WAIT, FAIL, CRASH, GLOBALS };

struct node {
    bool started;
};

static unsigned runtime_starts, nodes;

NIMFFI_EXPORT void libmy_nodeNimMain(void) { runtime_starts++; }
NIMFFI_EXPORT void libmy_nodeNimDestroyGlobals(void) {}

static void answer(struct ffi_request *request, int ret, const char *text) {
    char *copy = strdup(text);
    ffi_answer(request, ret, copy, strlen(copy));
    free(copy);
}

static void create(struct ffi_context *context, struct ffi_request *request) {
    if (strstr((char *)request->data, "fail")) {
        answer(request, RET_ERR, "the configuration says fail");
        return;
    }
    context->self = calloc(1, sizeof(struct node));
    __atomic_fetch_add(&nodes, 1, __ATOMIC_RELAXED);
    answer(request, RET_OK, "");
}

static void start(struct node *node, struct ffi_request *request, bool on) {
    bool already = node->started == on;
    node->started = on;
    if (already)
        answer(request, RET_ERR, on ? "the node is started already" : "the node is not started");
    else
        answer(request, RET_OK, "");
}

/* The request: the topic in JSON, a zero byte, the answer. */
static void publish(struct ffi_context *context, struct ffi_request *request) {
    const char *topic = (const char *)request->data;
    size_t size = strlen(topic) + 64;
    char *event = malloc(size);
    int len = snprintf(event, size, "{\"eventType\":\"message\",\"topic\":%s}", topic);
    ffi_emit(context, "message", event, (size_t)len);
    free(event);
    answer(request, RET_OK, topic + strlen(topic) + 1);
}

static void wait_for(struct ffi_request *request) {
    uint64_t ms = strtoull((const char *)request->data, NULL, 10);
    if (ms && !request->due_ns)
        ffi_later(request, ms);
    else
        answer(request, RET_OK, "");
}

static void globals(struct ffi_request *request) {
    char text[16];
    snprintf(text, sizeof text, "%u", __atomic_load_n(&nodes, __ATOMIC_RELAXED));
    answer(request, RET_OK, text);
}

static void handle(struct ffi_context *context, struct ffi_request *request) {
    if (request->method == NEW) {
        create(context, request);
        return;
    }
    if (!context->self) {
        answer(request, RET_ERR, "the node was not created");
        return;
    }
    switch (request->method) {
    case START: start(context->self, request, true); break;
    case STOP: start(context->self, request, false); break;
    case ANSWER: answer(request, RET_OK, (const char *)request->data); break;
    case PUBLISH: publish(context, request); break;
    case WAIT: wait_for(request); break;
    case FAIL: answer(request, RET_ERR, (const char *)request->data); break;
    case CRASH: raise(SIGSEGV); break;
    default: globals(request);
    }
}

static void destroy(struct ffi_context *context) { free(context->self); }

const struct ffi_library ffi_library = {handle, destroy};

static int submit_text(void *ctx, uint32_t method, FFICallback cb, void *ud, const char *text) {
    return ffi_submit(ctx, method, cb, ud, text, text ? strlen(text) : 0);
}

NIMFFI_EXPORT void *my_node_new(const char *config_json, FFICallback cb, void *ud) {
    static const char text[] = "libmy_nodeNimMain was not called, or more than once";
    if (cb && runtime_starts != 1) {
        cb(RET_ERR, text, sizeof text - 1, ud);
        return NULL;
    }
    return ffi_create(config_json, config_json ? strlen(config_json) : 0, cb, ud);
}

NIMFFI_EXPORT int my_node_start(void *ctx, FFICallback cb, void *ud) { return submit_text(ctx, START, cb, ud, ""); }
NIMFFI_EXPORT int my_node_stop(void *ctx, FFICallback cb, void *ud) { return submit_text(ctx, STOP, cb, ud, ""); }
NIMFFI_EXPORT int my_node_destroy(void *ctx, FFICallback cb, void *ud) { return ffi_destroy_async(ctx, cb, ud); }

NIMFFI_EXPORT int my_node_version(void *ctx, FFICallback cb, void *ud) {
    return submit_text(ctx, ANSWER, cb, ud, "my_node v0.2.0");
}

/* The text as a JSON string, to be freed. */
static char *quoted(const char *text) {
    char *out = malloc(6 * strlen(text) + 3), *at = out;
    *at++ = '"';
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == '"' || c == '\\')
            at += sprintf(at, "\\u%04x", c);
        else
            *at++ = (char)c;
    }
    strcpy(at, "\"");
    return out;
}

NIMFFI_EXPORT int my_node_publish(void *ctx, FFICallback cb, void *ud, const char *topic, const char *message,
                                  unsigned timeout_ms) {
    char *name = quoted(topic ? topic : ""), *request;
    int answer_at = (int)strlen(name) + 1;
    int len = asprintf(&request, "%s%c{\"topic\":%s,\"message\":%s,\"timeoutMs\":%u}", name, 0, name,
                       message ? message : "null", timeout_ms);
    int rc = len < answer_at ? RET_ERR : ffi_submit(ctx, PUBLISH, cb, ud, request, (size_t)len);
    free(request);
    free(name);
    return rc;
}

NIMFFI_EXPORT int my_node_sum(void *ctx, FFICallback cb, void *ud, int a, unsigned b, int64_t c, uint64_t d, bool e,
                              double f) {
    char text[160];
    snprintf(text, sizeof text, "%d %u %" PRId64 " %" PRIu64 " %d %.17g", a, b, c, d, e, f);
    return submit_text(ctx, ANSWER, cb, ud, text);
}

NIMFFI_EXPORT int my_node_wait(void *ctx, FFICallback cb, void *ud, unsigned ms) {
    char text[16];
    snprintf(text, sizeof text, "%u", ms);
    return submit_text(ctx, WAIT, cb, ud, text);
}

NIMFFI_EXPORT int my_node_fail(void *ctx, FFICallback cb, void *ud, const char *text) {
    return submit_text(ctx, FAIL, cb, ud, text);
}

NIMFFI_EXPORT int my_node_crash(void *ctx, FFICallback cb, void *ud) { return submit_text(ctx, CRASH, cb, ud, ""); }
NIMFFI_EXPORT int my_node_globals(void *ctx, FFICallback cb, void *ud) { return submit_text(ctx, GLOBALS, cb, ud, ""); }
NIMFFI_EXPORT void set_event_callback(void *ctx, FFICallback cb, void *ud) { ffi_set_event_callback(ctx, cb, ud); }
