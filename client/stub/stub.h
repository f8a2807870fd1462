/* What the parts of a stub's runtime know of each other. A stub is one library of its host's, with one connection to a
 * supervisor; nothing in here is visible outside of it. */
#ifndef BERTH_STUB_INTERNAL_H
#define BERTH_STUB_INTERNAL_H

#include <signal.h>

#include "berth/berth.h"
#include "berth_stub.h"

/* --- connection.c ------------------------------------------------------------------------------------------------ */

/* Counts its users, so that one whose supervisor is gone can be left behind and ended when the last context is. */
struct stub_connection {
    berth_client client;
    uint32_t users;
    uint32_t stale;
    struct stub_connection *next;
};

/* The connection, made by the first who asks; with a user. 0 or a berth_ret, with its text in `why`, which is zero
 * else; give it back with berth_reply_free. */
int stub_connection_take(struct stub_connection **out, struct berth_reply *why);
void stub_connection_give(struct stub_connection *connection);
/* Its supervisor is gone: the next who asks gets a new one. */
void stub_connection_lost(struct stub_connection *connection);

/* A child of the process that connected: it may not wait for locks that another thread held at the fork. */
int stub_forked(void);

/* --- contexts.c -------------------------------------------------------------------------------------------------- */

struct stub_context {
    void *address;          /* what the host has for it */
    berth_context berth;
    struct stub_connection *connection;
    uint32_t users;         /* | CONTEXT_AWAITED: those who may touch it, callbacks to come included */
    uint32_t closing;       /* destroyed, or never came to be: set once, by whoever ends it */
    sigset_t mask;          /* of the thread that made it */
    FFICallback create_cb, destroy_cb;
    void *create_ud, *destroy_ud;
    struct stub_listener *listeners; /* under the lock of listeners.c */
    uint64_t event_callback;         /* the listener's id; under the same */
    struct stub_context *next;
};

/* With an address of its own and two users: its life, and the answer of its create. NULL: no memory. */
struct stub_context *stub_context_new(void);
/* Makes the address known. */
void stub_context_publish(struct stub_context *context);
/* The address is no longer one. */
void stub_context_retract(struct stub_context *context);
/* The context with one more user; NULL: the host made that address up, or the context is gone. */
struct stub_context *stub_context_take(void *address);
void stub_context_hold(struct stub_context *context);
void stub_context_give(struct stub_context *context);
/* Waits until the caller is its only user, 30 s at most. 1: it is. */
int stub_context_wait_alone(struct stub_context *context);
/* Remembers the last contexts whose create failed: a host that destroys one is told that it is destroyed. */
void stub_failed_remember(void *address);
int stub_failed_forget(void *address);

/* --- listeners.c ------------------------------------------------------------------------------------------------- */

/* All of a context's listeners. Those that run at this moment are still its users. */
void stub_listeners_drop(struct stub_context *context);

/* --- answers.c --------------------------------------------------------------------------------------------------- */

#define STUB_TEXT_NO_CONTEXT "ctx is not a valid FFI context"

/* Tells the host, on this thread, in the codes that it knows. `ret`: a berth_ret. */
void stub_tell(FFICallback cb, void *ud, int ret, const uint8_t *data, size_t len);
/* Tells that a call is refused with its code's text, `why` behind it where it has something (NULL: has not). 1. */
int stub_refuse(FFICallback cb, void *ud, int ret);
int stub_refuse_why(FFICallback cb, void *ud, int ret, const struct berth_reply *why);
int stub_refuse_text(FFICallback cb, void *ud, const char *text);
/* On a thread of berth's that runs callbacks of this context: gives it the mask of the thread that made the context. */
void stub_callback_thread(const struct stub_context *context);
int stub_is_callback_thread(void);
/* The calling thread is inside a callback of this library. */
int stub_inside_callback(void);

/* --- static_calls.c ---------------------------------------------------------------------------------------------- */

/* Tells the host an empty OK on a thread of the stub's. As stub_call_static. */
int stub_tell_done(FFICallback cb, void *ud);

/* --- replies.c --------------------------------------------------------------------------------------------------- */

/* A copy that stays for a while, with a zero byte behind it; `data` itself when there is no memory. */
const uint8_t *stub_keep(const uint8_t *data, size_t len);

/* --- death_text.c ------------------------------------------------------------------------------------------------ */

/* What WORKER_DIED's payload says, as a line of text. */
size_t stub_death_text(const uint8_t *data, size_t len, char *out, size_t size);

#endif
