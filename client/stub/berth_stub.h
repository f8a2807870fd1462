/* What a drop-in stub is made of: `berth stub` writes a short source of these macros, one for each symbol of the
 * original library, and links it with the runtime declared here (libberth-stub.a). README.md has the why.
 *
 *   const struct stub_library berth_stub_library = {.module = "my_timer"};
 *   BERTH_STUB_CREATE(my_timer_create)
 *   BERTH_STUB_METHOD(my_timer_echo, "echo")
 *   BERTH_STUB_STATIC(my_timer_build_info, "build_info")
 *   BERTH_STUB_DESTROY(my_timer_destroy)
 *   BERTH_STUB_NOTHING(libmy_timerNimMain)
 *
 * C11; needs libc only. */
#ifndef BERTH_STUB_H
#define BERTH_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The host's: `msg` is valid during the call only (but see STUB_KEEP_REPLIES), and a zero byte follows it. Runs on a
 * thread of the stub's, with the signal mask of the thread that made the context; a refused call is told on the
 * caller's thread, before it returns. It may call anything here. */
typedef void (*FFICallback)(int ret, const char *msg, size_t len, void *user_data);

enum { STUB_RET_OK = 0, STUB_RET_ERR = 1, STUB_RET_MISSING_CALLBACK = 2, STUB_RET_STALE_WARN = 3 };

#define STUB_JSON         1u /* the older generation: create's answer is empty, and no code 3 */
#define STUB_NO_PROGRESS  2u /* no code 3 */
#define STUB_LATER_CODES  4u /* the host knows codes 4 to 9 (TIMEOUT … TOO_LARGE); else they become RET_ERR and text */
#define STUB_KEEP_REPLIES 8u /* bytes given to callbacks stay readable for a while after them */

/* Defined once, by the generated source. */
struct stub_library {
    const char *module;     /* as berth_open names it */
    const char *module_dir; /* manifests for a private supervisor; NULL: as berth_connect finds them */
    uint32_t flags;         /* STUB_… */
};
extern const struct stub_library berth_stub_library;

struct stub_method {
    const char *name;
    uint32_t id; /* 0: not asked for yet */
};

/* A context's address at once; its callback follows. NULL: no context; told by callback unless that is NULL. */
void *stub_create(const void *config, size_t len, FFICallback cb, void *ud);
/* The same from JSON text, which may be NULL. */
void *stub_new(const char *config, FFICallback cb, void *ud);
/* 0: accepted, one terminal callback follows. 1: refused, and told by callback. 2: no callback. */
int stub_call(struct stub_method *method, void *ctx, FFICallback cb, void *ud, const void *data, size_t len);
int stub_call_static(const char *method, FFICallback cb, void *ud, const void *data, size_t len);
/* The same with C values, packed as a CBOR array. A letter of `types` for each, as C passes it: s const char * (NULL:
 * null), i int, u unsigned, I int64_t, U uint64_t, b bool, d double. */
int stub_call_arguments(struct stub_method *method, void *ctx, FFICallback cb, void *ud, const char *types, ...);
int stub_call_static_arguments(const char *method, FFICallback cb, void *ud, const char *types, ...);
/* Waits until the context is gone and its last callback done; not for callbacks when called inside one. 0 or 1. */
int stub_destroy(void *ctx);
/* 0: `cb` follows, last of the context's. As stub_call. */
int stub_destroy_async(void *ctx, FFICallback cb, void *ud);
/* An id for stub_unlisten; 0: failed. */
uint64_t stub_listen(void *ctx, const char *event, FFICallback cb, void *ud);
/* 0 removed: the callback does not run any more, unless this is called inside it. 1: not there. */
int stub_unlisten(void *ctx, uint64_t id);
/* The context's one callback for events of that name; NULL: none. */
void stub_set_event_callback(void *ctx, const char *event, FFICallback cb, void *ud);

#define BERTH_STUB_EXPORT __attribute__((visibility("default")))

#define BERTH_STUB_CREATE(symbol)                                                                                      \
    BERTH_STUB_EXPORT void *symbol(const uint8_t *req, size_t len, FFICallback cb, void *ud) {                         \
        return stub_create(req, len, cb, ud);                                                                          \
    }
#define BERTH_STUB_NEW(symbol)                                                                                         \
    BERTH_STUB_EXPORT void *symbol(const char *config_json, FFICallback cb, void *ud) {                                \
        return stub_new(config_json, cb, ud);                                                                          \
    }
#define BERTH_STUB_METHOD(symbol, method_name)                                                                         \
    BERTH_STUB_EXPORT int symbol(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len) {                \
        static struct stub_method method = {method_name, 0};                                                           \
        return stub_call(&method, ctx, cb, ud, req, len);                                                              \
    }
#define BERTH_STUB_STATIC(symbol, method_name)                                                                         \
    BERTH_STUB_EXPORT int symbol(FFICallback cb, void *ud, const uint8_t *req, size_t len) {                           \
        return stub_call_static(method_name, cb, ud, req, len);                                                        \
    }
#define BERTH_STUB_DESTROY(symbol)                                                                                     \
    BERTH_STUB_EXPORT int symbol(void *ctx) { return stub_destroy(ctx); }
#define BERTH_STUB_DESTROY_ASYNC(symbol)                                                                               \
    BERTH_STUB_EXPORT int symbol(void *ctx, FFICallback cb, void *ud) { return stub_destroy_async(ctx, cb, ud); }
#define BERTH_STUB_ADD_LISTENER(symbol)                                                                                \
    BERTH_STUB_EXPORT uint64_t symbol(void *ctx, const char *event, FFICallback cb, void *ud) {                        \
        return stub_listen(ctx, event, cb, ud);                                                                        \
    }
#define BERTH_STUB_REMOVE_LISTENER(symbol)                                                                             \
    BERTH_STUB_EXPORT int symbol(void *ctx, uint64_t id) { return stub_unlisten(ctx, id); }
#define BERTH_STUB_EVENT_CALLBACK(symbol, event)                                                                       \
    BERTH_STUB_EXPORT void symbol(void *ctx, FFICallback cb, void *ud) { stub_set_event_callback(ctx, event, cb, ud); }
/* Initialisers of the library's runtime: it is in another process, and initialised there. */
#define BERTH_STUB_NOTHING(symbol)                                                                                     \
    BERTH_STUB_EXPORT void symbol(void) {}

#endif
