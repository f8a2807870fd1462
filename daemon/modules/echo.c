/* The module for tests and diagnosis. Requests are CBOR maps (but for `echo`, which is any bytes):
 *
 *   echo     any bytes                      the same bytes
 *   later    {"ms": uint, "data": b/tstr}   the bytes of data, after ms, from another thread
 *   fail     {"text": tstr}                 RET_ERR with that text
 *   emit     {"count": uint, "bytes": uint} count events `tick` of so many bytes that begin with their little-endian
 *                                           32-bit index; then {"sent": uint, "dropped": uint}
 *   stream   {"count": uint, "bytes": uint} count, after so many pieces of data on its way, each of so many bytes that
 *                                           begin with its big-endian 32-bit index; from another thread
 *   block    {"ms": uint}                   null, after holding the library thread for ms
 *   alloc    {"mib": uint}                  uint: MiB held so far; they are kept until destroy
 *   die      {"how": tstr}                  nothing: "segv", "abort", "exit" (status 3) or "stack"
 *   version  anything; needs no context     "berth-echo VERSION"
 *
 * A configuration of {"fail": tstr} makes create fail with that text. Cancelled: RET_ERR "cancelled".
 *
 * It takes payloads in shared memory as they are: `echo` only copies them, the others copy them before they look. */
#include "echo.h"
#include "cbor_args.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_EVENTS = 10000000, MOST_EVENT_BYTES = 16 << 20, MOST_MIB = 4096, INDEX_BYTES = 4 };

#define MIB ((size_t)1 << 20)

const struct berth_worker *echo_worker;

struct allocation {
    struct allocation *next;
    unsigned char bytes[];
};

struct echo {
    struct echo_timer *timer;
    struct echo_held held;
    struct echo_streams streams;
    struct allocation *allocations;
    uint64_t allocated_mib;
};

struct call {
    struct echo *echo;
    berth_request request;
    struct berth_args args;
};

static void fail(berth_request request, const char *text) { echo_worker->reply(request, 1, text, strlen(text)); }

static void succeed(berth_request request) { echo_worker->reply(request, 0, "\xf6", 1); }

static void echo_later(struct call *call) {
    uint64_t ms;
    struct berth_span data;
    if (!berth_args_uint(&call->args, "ms", UINT64_MAX, &ms) || !berth_args_data(&call->args, "data", &data))
        fail(call->request, call->args.error);
    else if (!echo_timer_add(call->echo->timer, echo_due_in(ms), call->request, data.data, data.len))
        fail(call->request, "later: out of memory or threads");
    else if (echo_held_cancelled(&call->echo->held)) /* while it was not in the timer yet */
        echo_timer_cancel(call->echo->timer, call->request);
}

static void echo_fail(struct call *call) {
    struct berth_span text;
    if (!berth_args_text(&call->args, "text", &text))
        fail(call->request, call->args.error);
    else
        echo_worker->reply(call->request, 1, text.data, text.len);
}

static void put_index(unsigned char *payload, size_t bytes, uint64_t index) {
    for (size_t i = 0; i < INDEX_BYTES && bytes >= INDEX_BYTES; i++)
        payload[i] = (unsigned char)(index >> 8 * i);
}

static void reply_emitted(berth_request request, uint64_t sent, uint64_t dropped) {
    unsigned char reply[64];
    size_t at = cbor_encode_map_start(2, reply, sizeof reply);
    at += cbor_encode_string_start(4, reply + at, sizeof reply - at);
    memcpy(reply + at, "sent", 4);
    at += 4 + cbor_encode_uint(sent, reply + at + 4, sizeof reply - at - 4);
    at += cbor_encode_string_start(7, reply + at, sizeof reply - at);
    memcpy(reply + at, "dropped", 7);
    at += 7 + cbor_encode_uint(dropped, reply + at + 7, sizeof reply - at - 7);
    echo_worker->reply(request, 0, reply, at);
}

static void emit_ticks(struct call *call, uint64_t count, unsigned char *payload, size_t bytes) {
    uint64_t sent = 0, dropped = 0;
    while (sent + dropped < count && !echo_held_cancelled(&call->echo->held)) {
        put_index(payload, bytes, sent + dropped);
        if (echo_worker->emit("tick", payload, bytes) == 0)
            sent++;
        else
            dropped++;
    }
    if (sent + dropped < count)
        fail(call->request, ECHO_CANCELLED);
    else
        reply_emitted(call->request, sent, dropped);
}

static void echo_emit(struct call *call) {
    uint64_t count, bytes;
    if (!berth_args_uint(&call->args, "count", MOST_EVENTS, &count) ||
        !berth_args_uint(&call->args, "bytes", MOST_EVENT_BYTES, &bytes)) {
        fail(call->request, call->args.error);
        return;
    }
    unsigned char *payload = calloc(1, bytes + 1);
    if (payload)
        emit_ticks(call, count, payload, bytes);
    else
        fail(call->request, "emit: out of memory");
    free(payload);
}

static void echo_stream(struct call *call) {
    uint64_t count, bytes;
    if (!berth_args_uint(&call->args, "count", MOST_EVENTS, &count) ||
        !berth_args_uint(&call->args, "bytes", MOST_EVENT_BYTES, &bytes))
        fail(call->request, call->args.error);
    else if (echo_worker->size < offsetof(struct berth_worker, data) + sizeof echo_worker->data)
        fail(call->request, "stream: the worker is too old for it");
    else if (!echo_stream_begin(&call->echo->streams, call->request, count, bytes))
        fail(call->request, "stream: out of memory or threads");
}

static void echo_block(struct call *call) {
    uint64_t ms;
    if (!berth_args_uint(&call->args, "ms", UINT64_MAX, &ms))
        fail(call->request, call->args.error);
    else if (echo_held_wait(&call->echo->held, echo_due_in(ms)))
        succeed(call->request);
    else
        fail(call->request, ECHO_CANCELLED);
}

static void echo_alloc(struct call *call) {
    uint64_t mib;
    unsigned char reply[16];
    struct echo *echo = call->echo;
    if (!berth_args_uint(&call->args, "mib", MOST_MIB, &mib)) {
        fail(call->request, call->args.error);
        return;
    }
    struct allocation *allocation = malloc(sizeof *allocation + mib * MIB);
    if (!allocation) {
        fail(call->request, "alloc: out of memory");
        return;
    }
    memset(allocation->bytes, 0xa5, mib * MIB);
    allocation->next = echo->allocations;
    echo->allocations = allocation;
    echo->allocated_mib += mib;
    echo_worker->reply(call->request, 0, reply, cbor_encode_uint(echo->allocated_mib, reply, sizeof reply));
}

/* Each call gets at the frame above it: else the compiler makes a loop of the recursion. */
static unsigned recurse(volatile unsigned char *above) {
    volatile unsigned char frame[2048];
    frame[0] = above[0];
    return frame[0] > 0 ? recurse(frame) + frame[0] : 0;
}

/* A sanitizer would end the process before the signal does. */
__attribute__((no_sanitize("undefined"))) static void die_segv(void) {
    volatile int *volatile nowhere = NULL; /* else the compiler leaves the store out */
    *nowhere = 1;
}

static void die_exit(void) { _exit(3); }

static void die_stack(void) {
    volatile unsigned char first = 1;
    recurse(&first);
}

static const struct {
    const char *how;
    void (*die)(void);
} deaths[] = {{"segv", die_segv}, {"abort", abort}, {"exit", die_exit}, {"stack", die_stack}};

static void echo_die(struct call *call) {
    struct berth_span how;
    if (berth_args_text(&call->args, "how", &how)) {
        for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++)
            if (how.len == strlen(deaths[i].how) && memcmp(how.data, deaths[i].how, how.len) == 0)
                deaths[i].die();
        berth_args_wrong(&call->args, "how", "not segv, abort, exit or stack");
    }
    fail(call->request, call->args.error);
}

enum { METHOD_ECHO, METHOD_VERSION, FIRST_OF_MAPS };

static const struct berth_method methods[] = {
    {"echo", 0}, {"version", BERTH_METHOD_STATIC}, {"later", 0}, {"fail", 0}, {"emit", 0}, {"block", 0}, {"alloc", 0},
    {"die", 0}, {"stream", 0}};

enum { METHOD_COUNT = sizeof methods / sizeof *methods };

static const struct {
    void (*run)(struct call *call);
    const char *keys[3];
} of_maps[] = {{echo_later, {"ms", "data"}}, {echo_fail, {"text"}}, {echo_emit, {"count", "bytes"}},
               {echo_block, {"ms"}},         {echo_alloc, {"mib"}}, {echo_die, {"how"}},
               {echo_stream, {"count", "bytes"}}};

_Static_assert(METHOD_COUNT == FIRST_OF_MAPS + sizeof of_maps / sizeof *of_maps, "a method without its function");

static void *private_copy(const uint8_t *data, size_t len) {
    void *copy = malloc(len + 1);
    if (copy && len > 0)
        memcpy(copy, data, len);
    return copy;
}

static void handle_map(struct echo *echo, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    struct call call = {.echo = echo, .request = request};
    void *copy = private_copy(data, len);
    if (!copy) {
        fail(request, "out of memory");
        return;
    }
    echo_held_begin(&echo->held, request);
    if (berth_args_open(&call.args, methods[method].name, copy, len, of_maps[method - FIRST_OF_MAPS].keys))
        of_maps[method - FIRST_OF_MAPS].run(&call);
    else
        fail(request, call.args.error);
    echo_held_end(&echo->held);
    berth_args_close(&call.args);
    free(copy);
}

static void handle(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    static const char version[] = "berth-echo " BERTH_VERSION;
    unsigned char reply[sizeof version + 9];
    if (method == METHOD_ECHO) {
        echo_worker->reply(request, 0, data, len);
    } else if (method == METHOD_VERSION) {
        size_t head = cbor_encode_string_start(sizeof version - 1, reply, sizeof reply);
        memcpy(reply + head, version, sizeof version - 1);
        echo_worker->reply(request, 0, reply, head + sizeof version - 1);
    } else if (method < METHOD_COUNT) {
        handle_map(instance, method, request, data, len);
    } else {
        fail(request, "no such method");
    }
}

static void cancel(void *instance, berth_request request) {
    struct echo *echo = instance;
    if (!echo)
        return;
    echo_held_cancel(&echo->held, request); /* first: echo_later adds to the timer, then looks here */
    echo_timer_cancel(echo->timer, request);
}

static bool accept_config(const uint8_t *config, size_t len, char *why, size_t why_size) {
    static const char *const keys[] = {"fail", NULL};
    struct berth_args args;
    struct berth_span text;
    bool open = berth_args_open(&args, "create", config, len, keys);
    bool accepted = open && !berth_args_find(&args, "fail");
    if (!accepted && open && berth_args_text(&args, "fail", &text))
        berth_args_why(why, why_size, text.data, text.len);
    else if (!accepted)
        berth_args_why(why, why_size, args.error, strlen(args.error));
    berth_args_close(&args);
    return accepted;
}

static struct echo *new_echo(void) {
    struct echo *echo = calloc(1, sizeof *echo);
    if (!echo || !echo_held_init(&echo->held)) {
        free(echo);
        return NULL;
    }
    echo->timer = echo_timer_new();
    if (echo->timer)
        return echo;
    echo_held_deinit(&echo->held);
    free(echo);
    return NULL;
}

static int create(const uint8_t *config, size_t len, void **instance, char *why, size_t why_size) {
    void *copy = private_copy(config, len);
    bool accepted = copy && (len == 0 || accept_config(copy, len, why, why_size));
    free(copy);
    if (accepted && (*instance = new_echo()))
        return 0;
    if (accepted || !copy)
        berth_args_why(why, why_size, "out of memory", strlen("out of memory"));
    return 1;
}

static void destroy(void *instance) {
    struct echo *echo = instance;
    echo_timer_free(echo->timer);
    echo_streams_end(&echo->streams);
    echo_held_deinit(&echo->held);
    while (echo->allocations) {
        struct allocation *next = echo->allocations->next;
        free(echo->allocations);
        echo->allocations = next;
    }
    free(echo);
}

static const struct berth_module module = {.abi = BERTH_MODULE_ABI,
                                           .size = sizeof module,
                                           .name = "echo",
                                           .version = BERTH_VERSION,
                                           .flags = BERTH_MODULE_SHARED_PAYLOADS,
                                           .method_count = METHOD_COUNT,
                                           .methods = methods,
                                           .create = create,
                                           .destroy = destroy,
                                           .handle = handle,
                                           .cancel = cancel};

__attribute__((visibility("default"))) const struct berth_module *berth_module(const struct berth_worker *worker) {
    echo_worker = worker;
    return worker->abi == BERTH_MODULE_ABI ? &module : NULL;
}
