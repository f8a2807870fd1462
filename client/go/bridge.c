#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int bg_disconnect(uint64_t client) { return berth_disconnect((berth_client){client}); }

/* --- answers ----------------------------------------------------------------------------------------------------- */

static int fits(struct berth_reply *reply, uint8_t *room, size_t room_len, struct bg_answer *answer) {
    answer->len = reply->len;
    answer->block = 0;
    if (reply->len > room_len)
        return 0;
    if (reply->len)
        memcpy(room, reply->data, reply->len);
    berth_reply_free(reply);
    return 1;
}

/* A small answer stands in the struct itself, so a copy's data has to follow. */
static int put_in_block(struct berth_reply *reply, struct bg_answer *answer) {
    struct berth_reply *block = malloc(sizeof *block);
    if (!block) {
        berth_reply_free(reply);
        answer->len = 0;
        return BERTH_RET_EXHAUSTED;
    }
    size_t offset = (size_t)(reply->data - (const uint8_t *)reply);
    *block = *reply;
    if (offset < sizeof *reply)
        block->data = (const uint8_t *)block + offset;
    answer->block = (uintptr_t)block;
    return reply->ret;
}

static int put(struct berth_reply *reply, uint8_t *room, size_t room_len, struct bg_answer *answer) {
    int ret = reply->ret;
    return fits(reply, room, room_len, answer) ? ret : put_in_block(reply, answer);
}

void bg_take(uintptr_t block, uint8_t *to) {
    struct berth_reply *reply = (struct berth_reply *)block;
    if (to && reply->len)
        memcpy(to, reply->data, reply->len);
    berth_reply_free(reply);
    free(reply);
}

int bg_connect(uint32_t flags, const char *socket_path, uint32_t socket_owner, const char *module_dir,
               uint64_t *client, struct bg_answer *why) {
    struct berth_reply reply;
    struct berth_options options = {.size = sizeof options,
                                    .flags = flags,
                                    .socket_path = socket_path,
                                    .module_dir = module_dir,
                                    .why = &reply,
                                    .socket_owner = socket_owner};
    berth_client handle;
    int ret = berth_connect(&options, &handle);
    *client = handle.bits;
    put(&reply, NULL, 0, why);
    return ret;
}

int bg_status(uint64_t client, struct bg_answer *answer) {
    struct berth_reply reply;
    berth_status((berth_client){client}, &reply);
    return put(&reply, NULL, 0, answer);
}

int bg_call_static(uint64_t client, const char *module, const char *method, const uint8_t *request, size_t len,
                   int timeout_ms, struct bg_answer *answer) {
    struct berth_reply reply;
    berth_call_static((berth_client){client}, module, method, request, len, timeout_ms, &reply);
    return put(&reply, NULL, 0, answer);
}

int bg_method(uint64_t context, const char *name, uint32_t *method) {
    return berth_method((berth_context){context}, name, method);
}

int bg_call(uint64_t context, uint32_t method, const uint8_t *request, size_t len, uint32_t wait_us, uint64_t ticket,
            uint8_t *room, size_t room_len, struct bg_answer *answer) {
    struct berth_reply reply;
    berth_try_call((berth_context){context}, method, request, len, wait_us, (void *)(uintptr_t)ticket, &answer->id,
                   &reply);
    return put(&reply, room, room_len, answer);
}

int bg_cancel(uint64_t context, uint64_t id) { return berth_cancel((berth_context){context}, id); }

/* --- open and close ---------------------------------------------------------------------------------------------- */

struct bg_verdict *bg_verdict_new(void) {
    struct bg_verdict *verdict = calloc(1, sizeof *verdict);
    if (!verdict)
        return NULL;
    verdict->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (verdict->fd >= 0)
        return verdict;
    free(verdict);
    return NULL;
}

void bg_verdict_free(struct bg_verdict *verdict) {
    free(verdict->data);
    free(verdict);
}

/* On a thread of berth's. Once the descriptor is written the verdict is Go's. */
static void told(int ret, const uint8_t *data, size_t len, void *user_data) {
    struct bg_verdict *verdict = user_data;
    uint64_t one = 1;
    int fd = verdict->fd;
    verdict->ret = ret;
    verdict->data = len ? malloc(len) : NULL;
    if (verdict->data) {
        memcpy(verdict->data, data, len);
        verdict->len = len;
    }
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

int bg_open(uint64_t client, const char *module, const uint8_t *config, size_t len, uint32_t max_in_flight,
            uint32_t stale_warn_ms, uint32_t open_timeout_ms, struct bg_verdict *verdict, uint64_t *context) {
    struct berth_open_options options = {.size = sizeof options,
                                         .max_in_flight = max_in_flight,
                                         .stale_warn_ms = stale_warn_ms,
                                         .open_timeout_ms = open_timeout_ms};
    berth_context handle = {0};
    int ret = berth_open_submit((berth_client){client}, module, config, len, &options, told, verdict, &handle);
    *context = handle.bits;
    return ret;
}

int bg_close(uint64_t context, struct bg_verdict *verdict) {
    return berth_close((berth_context){context}, told, verdict);
}

/* --- events and poll mode ---------------------------------------------------------------------------------------- */

int bg_listen(uint64_t context, const char *event, uint64_t ticket, uint64_t *listener) {
    return berth_listen((berth_context){context}, event, NULL, (void *)(uintptr_t)ticket, listener);
}

int bg_unlisten(uint64_t context, uint64_t listener) { return berth_unlisten((berth_context){context}, listener); }

int bg_poll_fd(uint64_t context) {
    int fd = berth_poll_fd((berth_context){context});
    if (fd < 0)
        return fd;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -BERTH_RET_EXHAUSTED : fd;
}

struct bg_item *bg_batch_new(void) { return calloc(BG_BATCH, sizeof(struct bg_item)); }

void bg_batch_free(struct bg_item *batch) { free(batch); }

int bg_reap(uint64_t context, struct bg_item *batch, int look) {
    struct berth_completion completions[BG_BATCH];
    int count = berth_reap((berth_context){context}, completions, BG_BATCH, look ? BERTH_LOOK : 0);
    for (int i = 0; i < count; i++) {
        const struct berth_completion *from = &completions[i];
        batch[i] = (struct bg_item){from->id,  (uint64_t)(uintptr_t)from->user_data, from->kind,
                                    from->ret, from->len ? from->data : NULL,        from->len};
    }
    return count;
}
