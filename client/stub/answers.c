/* How a host is told things. It may know no code but OK, ERR and STALE_WARN; what went wrong is then in the text. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "status.h"
#include "stub.h"

static __thread unsigned depth;      /* callbacks of the host's that this thread is in */
static __thread const void *mask_of; /* of a thread for callbacks: the context, by its address, whose mask it has */

int stub_inside_callback(void) { return depth != 0; }

/* berth blocks all signals on the threads that run callbacks. In the original they run with the mask that its threads
 * inherited from the one that made the context, and a host may count on it: a virtual machine that takes SIGSEGV for
 * its own purposes, one that wants SIGPROF everywhere. */
void stub_callback_thread(const struct stub_context *context) {
    if (mask_of == context->address)
        return;
    mask_of = context->address;
    pthread_sigmask(SIG_SETMASK, &context->mask, NULL);
}

int stub_is_callback_thread(void) { return mask_of != NULL; }

static const char *text_of(int ret) {
    switch (ret) {
    case BERTH_RET_TIMEOUT: return BERTH_TEXT_TIMEOUT;
    case BERTH_RET_CLOSED:
    case BERTH_RET_INVALID_CTX: return STUB_TEXT_NO_CONTEXT;
    case BERTH_RET_BUSY: return "too many requests in flight";
    case BERTH_RET_QUEUE_FULL: return "the request queue is full";
    case BERTH_RET_TOO_LARGE: return "larger than 16 MiB";
    case BERTH_RET_WORKER_DIED: return "the library's process has died, and the context with it";
    case BERTH_RET_RECYCLED: return BERTH_TEXT_NOT_ACCEPTING;
    case BERTH_RET_UNAVAILABLE: return "no supervisor of berth's answers, and none could be started";
    case BERTH_RET_DENIED: return "berth's supervisor does not admit this user";
    case BERTH_RET_PROTOCOL: return "the other side broke berth's protocol";
    case BERTH_RET_FORKED: return "called in a child of the process that loaded the library";
    case BERTH_RET_NO_MODULE: return "berth has no such module";
    case BERTH_RET_CANCELLED: return BERTH_TEXT_CANCELLED;
    case BERTH_RET_EXHAUSTED: return "no memory, descriptors, threads or workers for another context";
    case BERTH_RET_INVALID_ARGUMENT: return "an argument cannot be";
    default: return BERTH_TEXT_UNKNOWN_ERROR;
    }
}

static int code_for_host(int ret) {
    int later = ret >= BERTH_RET_TIMEOUT && ret <= BERTH_RET_TOO_LARGE && (berth_stub_library.flags & STUB_LATER_CODES);
    return ret <= BERTH_RET_STALE_WARN || later ? ret : BERTH_RET_ERR;
}

static void call_host(FFICallback cb, void *ud, int code, const uint8_t *data, size_t len) {
    if (berth_stub_library.flags & STUB_KEEP_REPLIES)
        data = stub_keep(data, len);
    depth++;
    cb(code, (const char *)data, len, ud);
    depth--;
}

void stub_tell(FFICallback cb, void *ud, int ret, const uint8_t *data, size_t len) {
    char death[512];
    if (ret == BERTH_RET_WORKER_DIED && len) {
        len = stub_death_text(data, len, death, sizeof death);
        data = (const uint8_t *)death;
    } else if (ret != BERTH_RET_OK && ret != BERTH_RET_STALE_WARN && len == 0) {
        data = (const uint8_t *)text_of(ret);
        len = strlen((const char *)data);
    }
    call_host(cb, ud, code_for_host(ret), data, len);
}

int stub_refuse_text(FFICallback cb, void *ud, const char *text) {
    call_host(cb, ud, STUB_RET_ERR, (const uint8_t *)text, strlen(text));
    return STUB_RET_ERR;
}

int stub_refuse_why(FFICallback cb, void *ud, int ret, const struct berth_reply *why) {
    char text[1280];
    if (!why || !why->len)
        return stub_refuse(cb, ud, ret);
    int len = snprintf(text, sizeof text, "%s: %.*s", text_of(ret), (int)why->len, (const char *)why->data);
    stub_tell(cb, ud, ret, (const uint8_t *)text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
    return STUB_RET_ERR;
}

int stub_refuse(FFICallback cb, void *ud, int ret) {
    stub_tell(cb, ud, ret, NULL, 0);
    return STUB_RET_ERR;
}
