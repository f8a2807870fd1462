#include "connection/supervisor_says.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cbor_map.h"
#include "base/raw_io.h"
#include "channel/baton.h"
#include "channel/urgent.h"
#include "delivery/notices.h"
#include "kill_point.h"

#define DEATH_LOOKS_MOST 20u
#define DEATH_LOOK_NS 10000000u

/* With submit_lock, as a close may read them at any time. */
static void take_seat(struct context *context, const struct berth_control_field *fields) {
    struct seat *seat = &context->seat;
    seat->id = fields[BERTH_KEY_CONTEXT].number;
    seat->known_on = client_connection(context->client);
    context->lease.worker_pid = (uint32_t)fields[BERTH_KEY_PID].number;
    context->lease.drain_ms = (uint32_t)fields[BERTH_KEY_DRAIN_MS].number;
    context->lease.teardown_ms = (uint32_t)fields[BERTH_KEY_TEARDOWN_MS].number;
}

/* A restart finds them there, and read by others. */
static void keep_methods(struct seat *seat, const struct berth_control_field *methods) {
    if (seat->methods)
        return;
    seat->methods = malloc(methods->len + 1);
    if (!seat->methods)
        return;
    memcpy(seat->methods, methods->data, methods->len);
    seat->method_count = methods->len / sizeof *seat->methods;
}

static void begin_grace(struct context *context, const struct berth_control_field *grace) {
    uint32_t ms = grace->kind ? (uint32_t)grace->number : LIVENESS_GRACE_MS;
    context->delivery.liveness = (struct liveness){.grace_ns = berth_now_ns() + (uint64_t)ms * 1000000u};
}

/* The worker's death could not be seen: it goes back, and no opener may learn of it first. */
static void no_descriptor(struct context *context) {
    static const char text[] = "no descriptor left in this process for the worker's pidfd";
    channel_send_urgent(&context->channel, BERTH_FRAME_CLOSE, 0, 0);
    context->home->say_closing(context);
    lease_note(&context->lease, LEASE_HAS_UNSEEN_WORKER);
    context_end(context, BERTH_RET_EXHAUSTED, text, sizeof text - 1);
}

void supervisor_says_opened(struct context *context, struct control_packet *packet) {
    const struct berth_control_field *fields = packet->message.fields;
    struct seat *seat = &context->seat;
    BERTH_KILL_POINT("host.opened_received");
    pthread_mutex_lock(&context->channel.submit_lock);
    take_seat(context, fields);
    pthread_mutex_unlock(&context->channel.submit_lock);
    memcpy(seat->token, fields[BERTH_KEY_TOKEN].data, sizeof seat->token);
    raw_close(seat->segment_fd); /* nobody is asked for a worker again */
    seat->segment_fd = -1;
    keep_methods(seat, &fields[BERTH_KEY_METHODS]);
    begin_grace(context, &fields[BERTH_KEY_START_GRACE_MS]);
    if (!packet->fd_count) {
        no_descriptor(context);
        return;
    }
    context->lease.worker_pidfd = packet->fds[0];
    packet->fd_count = 0;
    client_watch(context->client, context->lease.worker_pidfd, EPOLLIN, context->handle);
    lease_note(&context->lease, LEASE_HAS_WORKER);
    BERTH_KILL_POINT("host.opened");
    if (!lease_serves(&context->lease)) /* else the close sees the fact */
        context->home->say_closing(context);
}

/* A service that is stopped in order takes no more opens; a context that comes back waits for the next one. */
static int asks_the_next(struct context *context) {
    struct client *client = context->client;
    if (!client->service.path || !context->lease.restarts || !lease_serves(&context->lease))
        return 0;
    pthread_mutex_lock(&client->lock);
    context->seat.asked_on = 0;
    pthread_mutex_unlock(&client->lock);
    return 1;
}

void supervisor_says_refused(struct context *context, const struct berth_control_message *message) {
    const struct berth_control_field *text = &message->fields[BERTH_KEY_TEXT];
    uint64_t ret = message->fields[BERTH_KEY_RET].number;
    if (ret == 0 || ret > BERTH_RET_INVALID_ARGUMENT)
        ret = BERTH_RET_PROTOCOL;
    if (ret == BERTH_RET_UNAVAILABLE && asks_the_next(context))
        return;
    context_end(context, (uint32_t)ret, text->data, text->len);
}

/* Who has the baton has lost the CPU with the worker's last word unread, perhaps. Not for ever. */
static int looks_again(struct context *context) {
    if (context->lease.death_looks++ == DEATH_LOOKS_MOST)
        return 0;
    channel_poke(&context->channel);
    uint64_t bound = berth_now_ns() + DEATH_LOOK_NS;
    bound_set(&context->lease.bounds, BOUND_DEATH, bound);
    due_arm(&context->due, bound);
    return 1;
}

void supervisor_says_died(struct context *context, const struct berth_control_message *message) {
    BERTH_KILL_POINT("host.death_told");
    int looked = context_read_last(context); /* its last word may be that it was called back in order */
    if (verdict_is_given(&context->channel.verdict) || (!looked && !message && looks_again(context)))
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
    at = cbor_map_put_number(payload, at, capacity, "pid", context->lease.worker_pid);
    at = cbor_map_put_number(payload, at, capacity, "uses", fields[BERTH_KEY_USES].number);
    at = cbor_map_put_text(payload, at, capacity, "last_log", log_len ? (const char *)fields[BERTH_KEY_LOG].data : "",
                           log_len);
    if (why_len)
        at = cbor_map_put_text(payload, at, capacity, "reason", fields[BERTH_KEY_TEXT].data, why_len);
    int served = lease_serves(&context->lease);
    context_end(context, BERTH_RET_WORKER_DIED, payload, at);
    if (served)
        notice(&context->delivery, "worker_died", payload, at);
}
