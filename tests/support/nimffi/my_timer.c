#include "my_timer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cbor_args.h"
#include "cbor_out.h"
#include "ffi_context.h"

#ifdef MY_TIMER_BLOCKING
#define VERSION "nim-timer v0.3.0"
#else
#define VERSION "nim-timer v0.1.0"
#endif

enum { CREATE, ECHO, VERSION_OF, BYTES, NOTHING, FAIL, EMIT, ENVIRONMENT, MISBEHAVE, BLOCK, BUILD_INFO };

struct timer {
    char *name;
    uint64_t echoes;
};

static unsigned runtime_starts;
static pthread_t runtime_thread, last_creator;
static bool exclusive_taken;
static pthread_mutex_t globals = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t runtime = PTHREAD_ONCE_INIT;

static void on_signal(int signal_number) {
    static const char text[] = "my_timer: a signal came\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
    if (signal_number == SIGPIPE)
        return;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

NIMFFI_EXPORT void libmy_timerNimMain(void) {
    runtime_starts++;
    runtime_thread = pthread_self();
    signal(SIGINT, on_signal);
    signal(SIGPIPE, on_signal);
    signal(SIGSEGV, on_signal);
}

NIMFFI_EXPORT void libmy_timerNimDestroyGlobals(void) { exclusive_taken = false; }

static void start_runtime(void) { pthread_once(&runtime, libmy_timerNimMain); }

static void answer_out(struct ffi_request *request, struct cbor_out *out) {
    ffi_answer(request, RET_OK, out->data, out->len);
    free(out->data);
}

static void answer_text(struct ffi_request *request, int ret, const char *text) {
    struct cbor_out out = {0};
    if (ret == RET_OK)
        out_text(&out, text);
    else
        out_raw(&out, text, strlen(text));
    ffi_answer(request, ret, out.data, out.len);
    free(out.data);
}

static void answer_null(struct ffi_request *request) { ffi_answer(request, RET_OK, "\xf6", 1); }

/* A field that is missing takes its default. */
static uint64_t uint_of(const cbor_item_t *item) { return item && cbor_isa_uint(item) ? cbor_get_int(item) : 0; }
static bool bool_of(const cbor_item_t *item) {
    return item && cbor_isa_float_ctrl(item) && cbor_is_bool(item) && cbor_get_bool(item);
}
static char *text_of(const cbor_item_t *item) {
    return item && cbor_isa_string(item) ? strndup((const char *)cbor_string_handle(item), cbor_string_length(item))
                                         : strdup("");
}

/* The value of a nested parameter's field. */
static cbor_item_t *field(const cbor_item_t *map, const char *key) {
    for (size_t i = 0; map && cbor_isa_map(map) && i < cbor_map_size(map); i++) {
        struct cbor_pair pair = cbor_map_handle(map)[i];
        if (cbor_isa_string(pair.key) && cbor_string_length(pair.key) == strlen(key) &&
            memcmp(cbor_string_handle(pair.key), key, strlen(key)) == 0)
            return pair.value;
    }
    return NULL;
}

static void create(struct ffi_context *context, struct ffi_request *request, struct berth_args *args) {
    const cbor_item_t *config = berth_args_find(args, "config");
    char address[32], *fail = text_of(field(config, "fail"));
    bool taken = false;
    if (bool_of(field(config, "exclusive"))) {
        pthread_mutex_lock(&globals);
        taken = exclusive_taken;
        exclusive_taken = true;
        pthread_mutex_unlock(&globals);
    }
    if (fail[0] || taken) {
        answer_text(request, RET_ERR, fail[0] ? fail : "a second exclusive timer cannot be in this process");
    } else {
        struct timer *timer = context->self = calloc(1, sizeof *timer);
        timer->name = text_of(field(config, "name"));
        snprintf(address, sizeof address, "%llu", (unsigned long long)(uintptr_t)context);
        if (bool_of(field(config, "mute")))
            ffi_forget(request);
        else
            answer_text(request, RET_OK, address);
    }
    free(fail);
}

static void echo(struct ffi_context *context, struct ffi_request *request, struct berth_args *args) {
    struct timer *timer = context->self;
    const cbor_item_t *req = berth_args_find(args, "req");
    uint64_t delay = uint_of(field(req, "delayMs"));
    struct cbor_out reply = {0}, event = {0};
    if (delay && !request->due_ns) {
        ffi_later(request, delay);
        return;
    }
    char *message = text_of(field(req, "message"));
    out_map(&event, 2);
    out_text(&event, "eventType");
    out_text(&event, "on_echo_fired");
    out_text(&event, "payload");
    out_map(&event, 2);
    out_text(&event, "message");
    out_text(&event, message);
    out_text(&event, "echoCount");
    out_uint(&event, ++timer->echoes);
    ffi_emit(context, "on_echo_fired", event.data, event.len);
    free(event.data);
    out_map(&reply, 2);
    out_text(&reply, "echoed");
    out_text(&reply, message);
    out_text(&reply, "timerName");
    out_text(&reply, timer->name);
    free(message);
    answer_out(request, &reply);
}

static void bytes(struct ffi_request *request, struct berth_args *args) {
    struct cbor_out out = {0};
    size_t size = uint_of(berth_args_find(args, "size"));
    uint8_t *data = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)i;
    out_bytes(&out, data, size);
    free(data);
    answer_out(request, &out);
}

static void emit(struct ffi_context *context, struct ffi_request *request, struct berth_args *args) {
    char *name = text_of(berth_args_find(args, "name"));
    uint64_t count = uint_of(berth_args_find(args, "count"));
    for (uint64_t i = 0; i < count; i++) {
        struct cbor_out event = {0};
        out_map(&event, 2);
        out_text(&event, "eventType");
        out_text(&event, name);
        out_text(&event, "payload");
        out_map(&event, 1);
        out_text(&event, "n");
        out_uint(&event, i);
        ffi_emit(context, name, event.data, event.len);
        free(event.data);
    }
    free(name);
    answer_null(request);
}

static void environment(struct ffi_request *request) {
    struct cbor_out out = {0};
    pthread_mutex_lock(&globals);
    bool same = pthread_equal(runtime_thread, last_creator);
    pthread_mutex_unlock(&globals);
    out_map(&out, 4);
    out_text(&out, "runtimeStarts");
    out_uint(&out, runtime_starts);
    out_text(&out, "sameThread");
    out_bool(&out, same);
    out_text(&out, "contexts");
    out_uint(&out, ffi_contexts_in_use());
    out_text(&out, "pid");
    out_uint(&out, (uint64_t)getpid());
    answer_out(request, &out);
}

static void misbehave(struct ffi_request *request, const char *how) {
    FFICallback cb = request->cb;
    void *ud = request->ud;
    if (strcmp(how, "crash") == 0)
        raise(SIGSEGV);
    if (strcmp(how, "exit") == 0)
        _exit(3);
    if (strcmp(how, "print") == 0) {
        printf("my_timer on stdout\n");
        fflush(stdout);
        fprintf(stderr, "my_timer on stderr\n");
    }
    if (strcmp(how, "stale") == 0)
        cb(RET_STALE_WARN, "10000", 5, ud);
    if (strcmp(how, "parts") == 0) {
        cb(RET_STALE_WARN, "part", 4, ud);
        cb(RET_STALE_WARN, "7000", 4, ud);
        cb(RET_STALE_WARN, "12345678901", 11, ud);
        cb(RET_STALE_WARN, "", 0, ud);
        cb(RET_STALE_WARN, "7 ", 2, ud);
    }
    if (strcmp(how, "mute") == 0)
        ffi_forget(request);
    else if (strcmp(how, "empty_error") == 0)
        cb(RET_ERR, "", 0, ud), ffi_forget(request);
    else
        answer_text(request, RET_OK, how);
    if (strcmp(how, "double") == 0)
        cb(RET_OK, "\x66second", 7, ud);
    if (strcmp(how, "late_stale") == 0)
        cb(RET_STALE_WARN, "5000", 4, ud);
}

static const char *const *keys_of(uint32_t method) {
    static const char *const none[] = {NULL}, *const create_keys[] = {"config", NULL}, *const echo_keys[] = {"req", NULL},
                             *const bytes_keys[] = {"size", NULL}, *const fail_keys[] = {"text", NULL},
                             *const emit_keys[] = {"name", "count", NULL}, *const how_keys[] = {"how", NULL},
                             *const block_keys[] = {"ms", NULL};
    switch (method) {
    case CREATE: return create_keys;
    case ECHO: return echo_keys;
    case BYTES: return bytes_keys;
    case FAIL: return fail_keys;
    case EMIT: return emit_keys;
    case MISBEHAVE: return how_keys;
    case BLOCK: return block_keys;
    default: return none;
    }
}

static void run(struct ffi_context *context, struct ffi_request *request, struct berth_args *args) {
    char *text;
    switch (request->method) {
    case CREATE: create(context, request, args); break;
    case ECHO: echo(context, request, args); break;
    case VERSION_OF: answer_text(request, RET_OK, VERSION); break;
    case BYTES: bytes(request, args); break;
    case FAIL:
        text = text_of(berth_args_find(args, "text"));
        answer_text(request, RET_ERR, text);
        free(text);
        break;
    case EMIT: emit(context, request, args); break;
    case ENVIRONMENT: environment(request); break;
    case MISBEHAVE:
        text = text_of(berth_args_find(args, "how"));
        misbehave(request, text);
        free(text);
        break;
    case BLOCK:
        usleep((useconds_t)uint_of(berth_args_find(args, "ms")) * 1000);
        answer_null(request);
        break;
    case BUILD_INFO: answer_text(request, RET_OK, "my_timer, a fixture"); break;
    default: answer_null(request);
    }
}

static void handle(struct ffi_context *context, struct ffi_request *request) {
    struct berth_args args;
    if (!berth_args_open(&args, "my_timer", request->data, request->len, keys_of(request->method)))
        answer_text(request, RET_ERR, args.error);
    else if (context && !context->self && request->method != CREATE)
        answer_text(request, RET_ERR, "the library was not created");
    else
        run(context, request, &args);
    berth_args_close(&args);
}

static void destroy(struct ffi_context *context) {
    struct timer *timer = context->self;
    if (timer)
        free(timer->name);
    free(timer);
}

const struct ffi_library ffi_library = {handle, destroy};

NIMFFI_EXPORT void *my_timer_create(const uint8_t *req, size_t len, FFICallback cb, void *ud) {
    start_runtime();
    pthread_mutex_lock(&globals);
    last_creator = pthread_self();
    pthread_mutex_unlock(&globals);
    return ffi_create(req, len, cb, ud);
}

#ifdef MY_TIMER_BLOCKING
NIMFFI_EXPORT int my_timer_destroy(void *ctx) { return ffi_destroy_blocking(ctx); }
#else
NIMFFI_EXPORT int my_timer_destroy(void *ctx, FFICallback cb, void *ud) { return ffi_destroy_async(ctx, cb, ud); }
#endif

#define METHOD(name, number)                                                                                           \
    NIMFFI_EXPORT int my_timer_##name(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len) {           \
        start_runtime();                                                                                               \
        return ffi_submit(ctx, number, cb, ud, req, len);                                                              \
    }
METHOD(echo, ECHO)
METHOD(version, VERSION_OF)
METHOD(bytes, BYTES)
METHOD(nothing, NOTHING)
METHOD(fail, FAIL)
METHOD(emit, EMIT)
METHOD(environment, ENVIRONMENT)
METHOD(misbehave, MISBEHAVE)
METHOD(block, BLOCK)

NIMFFI_EXPORT int my_timer_build_info(FFICallback cb, void *ud, const uint8_t *req, size_t len) {
    start_runtime();
    return ffi_submit_static(BUILD_INFO, cb, ud, req, len);
}

NIMFFI_EXPORT uint64_t my_timer_add_event_listener(void *ctx, const char *event, FFICallback cb, void *ud) {
    start_runtime();
    return ffi_add_listener(ctx, event, cb, ud);
}

NIMFFI_EXPORT int my_timer_remove_event_listener(void *ctx, uint64_t id) { return ffi_remove_listener(ctx, id); }
