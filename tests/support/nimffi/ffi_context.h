/* A context of a fixture library: a thread of its own that runs requests like an event loop, and one that delivers
 * events. A pool of 32, as hosts know it, with the same texts. */
#ifndef NIMFFI_CONTEXT_H
#define NIMFFI_CONTEXT_H

#include <pthread.h>
#include <stdbool.h>

#include "nimffi.h"

struct ffi_context;

struct ffi_request {
    struct ffi_request *next;
    struct ffi_context *context;
    uint32_t method;
    FFICallback cb;
    void *ud;
    uint64_t due_ns; /* 0: has not waited */
    uint8_t *data;   /* the library's copy, a zero byte behind it */
    size_t len;
};

struct ffi_listener {
    struct ffi_listener *next;
    uint64_t id;
    FFICallback cb;
    void *ud;
    char name[]; /* empty: every event */
};

struct ffi_event {
    struct ffi_event *next;
    char *name;
    size_t len;
    uint8_t data[];
};

enum ffi_lifecycle { FFI_ACTIVE, FFI_RECYCLE_PENDING, FFI_RECYCLING };

struct ffi_context {
    bool in_use; /* under the pool's lock; the rest under this one */
    pthread_mutex_t lock;
    pthread_cond_t work, event_work;
    enum ffi_lifecycle lifecycle;
    struct ffi_request *queue, **queue_end; /* to run */
    struct ffi_request *waiting;            /* sleeping, sooner first */
    pthread_t thread, event_thread;
    bool events_stop;
    struct ffi_listener *listeners;
    uint64_t next_listener;
    struct ffi_event *events, **events_end;
    uint32_t event_count;
    bool events_stuck;
    FFICallback destroy_cb;
    void *destroy_ud;
    uint64_t drain_until_ns;
    void *self; /* the library's own */
};

/* Method 0 is the constructor; it answers with ffi_answer_created or an error. A handler answers now (ffi_answer), later
 * (ffi_later, then it is called again with due_ns set), or never (ffi_forget). */
struct ffi_library {
    void (*handle)(struct ffi_context *context, struct ffi_request *request);
    void (*destroy)(struct ffi_context *context);
};
extern const struct ffi_library ffi_library;

uint64_t ffi_now_ns(void);

/* The context, active, with its constructor queued; NULL, told by callback, when the pool is exhausted. */
struct ffi_context *ffi_create(const void *data, size_t len, FFICallback cb, void *ud);
int ffi_submit(void *ctx, uint32_t method, FFICallback cb, void *ud, const void *data, size_t len);
/* A context-free call: `method` runs with a NULL context on a thread of the library's. */
int ffi_submit_static(uint32_t method, FFICallback cb, void *ud, const void *data, size_t len);
int ffi_destroy_async(void *ctx, FFICallback cb, void *ud);
int ffi_destroy_blocking(void *ctx);
uint32_t ffi_contexts_in_use(void);

void ffi_answer(struct ffi_request *request, int ret, const void *data, size_t len);
void ffi_later(struct ffi_request *request, uint64_t ms);
void ffi_forget(struct ffi_request *request);

/* ffi_events.c */
uint64_t ffi_add_listener(void *ctx, const char *event, FFICallback cb, void *ud);
int ffi_remove_listener(void *ctx, uint64_t id);
/* The one callback of the older generation; NULL: none. */
void ffi_set_event_callback(void *ctx, FFICallback cb, void *ud);
void ffi_emit(struct ffi_context *context, const char *name, const void *data, size_t len);
void *ffi_event_loop(void *context);
void ffi_events_clear(struct ffi_context *context);

/* ffi_context.c, for ffi_events.c */
bool ffi_valid(const void *ctx);

#endif
