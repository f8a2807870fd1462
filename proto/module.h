/* What a module is: a shared library with one entry point, berth_module, that describes it.
 *
 * A worker process loads one module and runs one context (one `create` … `destroy`) at a time. Nothing here needs to
 * be linked: the worker hands its functions over as a table. Installed as berth/module.h; needs libc only. C11, C++.
 *
 *   static void handle(void *self, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
 *       api->reply(request, 0, data, len);
 *   }
 *   static const struct berth_method methods[] = {{"echo", 0}};
 *   static const struct berth_module module = {
 *       .abi = BERTH_MODULE_ABI, .size = sizeof module, .name = "mine", .version = "1.0",
 *       .methods = methods, .method_count = 1, .handle = handle};
 *   const struct berth_module *berth_module(const struct berth_worker *worker) { api = worker; return &module; }
 */
#ifndef BERTH_MODULE_H
#define BERTH_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_MODULE_ABI 1u

/* One request, to be answered exactly once. A second answer is dropped and logged. */
typedef uint64_t berth_request;

/* Takes the answer to a call of the module's own: `ret` and bytes as `reply` has them, or 9 (BERTH_RET_TOO_LARGE, over
 * 16 MiB), or 11 (BERTH_RET_RECYCLED: cut off by a close); the bytes of all but 0 are UTF-8 text, and end with the
 * function. Runs on the thread that answers, which may be any: it must not wait for long. */
typedef void (*berth_answer)(void *user_data, int ret, const void *data, size_t len);

/* What the worker does for the module. Every function may be called from any thread, from `create` until `destroy`
 * returns; later calls are dropped, or refused (`call`). */
struct berth_worker {
    uint32_t abi;
    uint32_t size;

    /* Answers a request. ret: 0 with the reply's bytes, or 1 (BERTH_RET_ERR) with UTF-8 text; other values become 1.
     * data is copied before the call returns. Over 16 MiB the host gets TOO_LARGE instead. May wait while the host
     * does not read. 0, or -1 when the request was answered already, or is unknown. */
    int (*reply)(berth_request request, int ret, const void *data, size_t len);

    /* Sends an event to the host's listeners. 0; 1 dropped: nobody listens, or the event queue is full (counted);
     * -1 name or data too long (255 bytes; 16 MiB in all). Never waits. */
    int (*emit)(const char *name, const void *data, size_t len);

    /* One line to the supervisor's log. */
    void (*log)(const char *text);

    /* Tells the host that a request is still worked on: UTF-8 text of at most 255 bytes, by custom the milliseconds so
     * far in decimal. Any number of times before the answer; never waits. 0; 1 left out: the host is too old for it, or
     * slow; -1 when the request was answered already, or is unknown, or the text is too long. A worker whose `size`
     * does not reach this far has no such function. */
    int (*progress)(berth_request request, const void *text, size_t len);

    /* Runs one of the module's own methods on the library thread, in turn with what hosts ask for, and gives its answer
     * to `done` (NULL: nobody wants it), exactly once. data is copied before the call returns. To `handle`, `reply` and
     * `cancel` it is a request like any other; `progress` of it is left out. A close waits for it, has it cancelled,
     * and at last cuts it off, as it does with a host's.
     *
     * 0: accepted. 1: refused, and `done` has been called with 1 (BERTH_RET_ERR) and the reason: on the library thread
     * (in create, destroy, handle, or a `done` that runs there), where to wait for the answer would be to wait for
     * oneself; no such method; no context, or one that is being closed; over 16 MiB; 1,024 in flight; no memory.
     *
     * A worker whose `size` does not reach this far has no such function: a module that calls it looks first
     * (worker->size >= offsetof(struct berth_worker, call) + sizeof worker->call). */
    int (*call)(const char *method, const void *data, size_t len, berth_answer done, void *user_data);

    /* Sends the host bytes of a request before its answer: parts of a large result, say. They come one by one, in order,
     * all before the answer. Copied before the call returns. Waits while more than 1 MiB of this request is on its way
     * unread; other requests are answered meanwhile, from other threads. On the library thread it holds up the context.
     *
     * 0. 1: left out, the host is too old for it (progress may do), or the request is the module's own. -1: nobody wants
     * them: the request was answered already, or was cancelled, or is unknown, the context is being cut off or its host
     * is gone; or there are over 16 MiB.
     *
     * A worker whose `size` does not reach this far has no such function (see call). */
    int (*data)(berth_request request, const void *bytes, size_t len);
};

#define BERTH_METHOD_STATIC 1u /* context-free: runs without `create`, with a NULL instance */

struct berth_method {
    const char *name; /* at most 255 bytes */
    uint32_t flags;
};

/* The module reads request bytes in place, where a hostile host can still change them, and does not mind. Without
 * this flag `handle` and `create` get a private copy. */
#define BERTH_MODULE_SHARED_PAYLOADS 1u

struct berth_module {
    uint32_t abi;  /* BERTH_MODULE_ABI */
    uint32_t size; /* sizeof(struct berth_module) */
    const char *name;
    const char *version;
    uint32_t flags;
    uint32_t method_count;
    const struct berth_method *methods;

    /* Makes the context from its configuration (any bytes; by custom a CBOR map). 0 with *instance set, else non-zero
     * with the reason in `why` (UTF-8, at most why_size bytes with its end). NULL: nothing to make. Runs on the
     * library thread, as do destroy and handle. */
    int (*create)(const uint8_t *config, size_t len, void **instance, char *why, size_t why_size);
    void (*destroy)(void *instance);

    /* One request: `method` indexes `methods`; `data` is valid until handle returns. Answer now, or later from any
     * thread. While handle runs no other request of the context is begun. */
    void (*handle)(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len);

    /* Nobody wants the answer any more: make it come soon (it must still come). Runs on the control thread, beside
     * `handle` and never beside create or destroy. NULL: requests cannot be cut short. */
    void (*cancel)(void *instance, berth_request request);
};

/* The entry point. NULL: the module cannot work here (say why with worker->log). */
const struct berth_module *berth_module(const struct berth_worker *worker);
typedef const struct berth_module *(*berth_module_entry)(const struct berth_worker *worker);

#ifdef __cplusplus
}
#endif
#endif
