/* What the supervisor says of a context: opened, refused, or that its worker died. On the control thread. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "cbor_map.h"
#include "context.h"
#include "kill_point.h"
#include "raw_io.h"

static void watch_worker(struct context *context) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = context->handle}};
    raw_syscall(SYS_epoll_ctl, context->client->epoll, EPOLL_CTL_ADD, context->worker_pidfd, (long)&event, 0);
}

/* Taken out before it is closed: the supervisor has the same file open, and what epoll knows of it would stay. */
void context_unwatch_worker(struct context *context) {
    if (context->worker_pidfd < 0)
        return;
    raw_syscall(SYS_epoll_ctl, context->client->epoll, EPOLL_CTL_DEL, context->worker_pidfd, 0, 0);
    raw_close(context->worker_pidfd);
    context->worker_pidfd = -1;
}

void context_opened(struct context *context, struct control_packet *packet) {
    const struct berth_control_field *fields = packet->message.fields;
    size_t len = fields[BERTH_KEY_METHODS].len;
    BERTH_KILL_POINT("host.opened_received");
    pthread_mutex_lock(&context->submit_lock); /* a close may read the bounds at any time */
    context->id = fields[BERTH_KEY_CONTEXT].number;
    context->known_on = context->client->connection;
    context->worker_pid = (uint32_t)fields[BERTH_KEY_PID].number;
    context->drain_ms = (uint32_t)fields[BERTH_KEY_DRAIN_MS].number;
    context->teardown_ms = (uint32_t)fields[BERTH_KEY_TEARDOWN_MS].number;
    pthread_mutex_unlock(&context->submit_lock);
    memcpy(context->token, fields[BERTH_KEY_TOKEN].data, sizeof context->token);
    raw_close(context->segment_fd); /* nobody is asked for a worker again */
    context->segment_fd = -1;
    context->worker_pidfd = packet->fds[0];
    packet->fd_count = 0;
    uint32_t grace_ms = fields[BERTH_KEY_START_GRACE_MS].kind ? (uint32_t)fields[BERTH_KEY_START_GRACE_MS].number
                                                              : LIVENESS_GRACE_MS;
    context->liveness = (struct liveness){.grace_ns = berth_now_ns() + (uint64_t)grace_ms * 1000000u};
    if (!context->methods) /* else this is a restart, and they are read by others */
        context->methods = malloc(len + 1);
    if (context->methods && !context->method_count) {
        memcpy(context->methods, fields[BERTH_KEY_METHODS].data, len);
        context->method_count = len / sizeof *context->methods;
    }
    watch_worker(context);
    __atomic_store_n(&context->opened, 1, __ATOMIC_SEQ_CST);
    BERTH_KILL_POINT("host.opened");
    if (__atomic_load_n(&context->state, __ATOMIC_SEQ_CST) == CONTEXT_RECYCLE_PENDING) /* else the close sees `opened` */
        context_send_closing(context);
}

void context_refused(struct context *context, const struct berth_control_message *message) {
    const struct berth_control_field *text = &message->fields[BERTH_KEY_TEXT];
    uint64_t ret = message->fields[BERTH_KEY_RET].number;
    if (ret == 0 || ret > BERTH_RET_INVALID_ARGUMENT)
        ret = BERTH_RET_PROTOCOL;
    context_fail_now(context, (uint32_t)ret, text->data, text->len);
}

void context_died(struct context *context, const struct berth_control_message *message) {
    BERTH_KILL_POINT("host.death_told");
    if (__atomic_load_n(&context->failed, __ATOMIC_ACQUIRE))
        return;
    static const struct berth_control_field none[BERTH_KEY_COUNT];
    const struct berth_control_field *fields = message ? message->fields : none;
    uint8_t payload[8192];
    const size_t capacity = sizeof payload;
    int has_signal = fields[BERTH_KEY_SIGNAL].kind, has_status = fields[BERTH_KEY_STATUS].kind;
    size_t log_len = fields[BERTH_KEY_LOG].len > 6000 ? 6000 : fields[BERTH_KEY_LOG].len;
    size_t why_len = fields[BERTH_KEY_TEXT].len > 1000 ? 1000 : fields[BERTH_KEY_TEXT].len;
    size_t at = cbor_encode_map_start((size_t)(3 + (has_signal || has_status) + (why_len != 0)), payload, capacity);
    if (has_signal)
        at = cbor_map_put_number(payload, at, capacity, "signal", fields[BERTH_KEY_SIGNAL].number);
    else if (has_status)
        at = cbor_map_put_number(payload, at, capacity, "status", fields[BERTH_KEY_STATUS].number);
    at = cbor_map_put_number(payload, at, capacity, "pid", context->worker_pid);
    at = cbor_map_put_number(payload, at, capacity, "uses", fields[BERTH_KEY_USES].number);
    at = cbor_map_put_text(payload, at, capacity, "last_log", log_len ? (const char *)fields[BERTH_KEY_LOG].data : "", log_len);
    if (why_len)
        at = cbor_map_put_text(payload, at, capacity, "reason", fields[BERTH_KEY_TEXT].data, why_len);
    uint32_t state = context_state(context);
    context_fail_now(context, BERTH_RET_WORKER_DIED, payload, at);
    if (state == CONTEXT_OPENING || state == CONTEXT_ACTIVE)
        context_notice(context, "worker_died", payload, at);
}
