#include "connection/asks.h"

#include <errno.h>
#include <string.h>

#include "connection/closings.h"
#include "connection/supervisor_wait.h"
#include "kill_point.h"
#include "status.h"

struct asking {
    uint64_t connection;    /* 0: the control thread will ask, once there is a supervisor */
    uint64_t closed_before; /* the context of that connection whose quick close `open` is to tell of; 0: none */
};

/* With the lock. */
static void list(struct client *client, struct context *context) {
    context->seat.next = client->contexts;
    client->contexts = context;
    client->context_count++;
    client->opens_under_way--;
    if (client->closing)
        eventcount_advance(&client->changed);
}

/* A context that is listed has been asked for, or waits for a supervisor: the control thread asks for no other. */
static struct asking begin(struct context *context, int is_new) {
    struct client *client = context->client;
    struct seat *seat = &context->seat;
    struct asking asking = {0, 0};
    pthread_mutex_lock(&client->lock);
    seat->open_seq = ++client->next_seq;
    asking.connection = client_is_disconnected(client) ? 0 : client->connection;
    seat->asked_on = asking.connection;
    if (asking.connection == client->just_closed_on)
        asking.closed_before = client->just_closed;
    client->just_closed_on = 0;
    if (is_new)
        list(client, context);
    pthread_mutex_unlock(&client->lock);
    return asking;
}

static void wait_for_supervisor(struct context *context) {
    uint64_t most = (uint64_t)context->lease.open_timeout_ms * 1000000u;
    uint64_t bound = berth_now_ns() + (most < SUPERVISOR_WAIT_NS ? most : SUPERVISOR_WAIT_NS);
    bound_set(&context->lease.bounds, BOUND_SUPERVISOR, bound);
    due_arm(&context->due, bound);
}

static int send_open(struct context *context, uint64_t connection, uint64_t closed_before, int segment_fd) {
    struct berth_control_message message;
    const struct seat *seat = &context->seat;
    int fds[2] = {segment_fd, context->channel.wake.worker_end};
    berth_control_init(&message, BERTH_MSG_OPEN);
    berth_control_set_uint(&message, BERTH_KEY_SEQ, seat->open_seq);
    berth_control_set_text(&message, BERTH_KEY_MODULE, seat->module, strlen(seat->module));
    berth_control_set_uint(&message, BERTH_KEY_TIMEOUT_MS, context->lease.open_timeout_ms);
    if (closed_before)
        berth_control_set_uint(&message, BERTH_KEY_CONTEXT, closed_before);
    uint32_t attempt = __atomic_load_n(&seat->attempt, __ATOMIC_RELAXED);
    if (attempt)
        berth_control_set_uint(&message, BERTH_KEY_ATTEMPT, attempt);
    return client_send_on(context->client, connection, &message, fds, 2);
}

static void ask_later(struct context *context) {
    struct client *client = context->client;
    pthread_mutex_lock(&client->lock);
    context->seat.ask_due = 1;
    pthread_mutex_unlock(&client->lock);
    __atomic_store_n(&client->reattach.asking, 1, __ATOMIC_SEQ_CST);
    alarm_ring(&client->alarm);
}

static int is_gone(int rc) { return rc == -ESTALE || rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN; }

int asks_now(struct context *context, uint64_t connection, uint64_t closed_before, int segment_fd) {
    int rc = send_open(context, connection, closed_before, segment_fd);
    if (rc == 0 || is_gone(rc))
        return rc;
    if (closed_before)
        closings_say(context->client, connection, closed_before, 0);
    if (rc == -EAGAIN)
        ask_later(context);
    else
        context_end_text(context, BERTH_RET_EXHAUSTED, "no memory or descriptors to ask the supervisor with");
    return rc;
}

/* A supervisor that has just died is the control thread's to notice; it asks the next one. */
static void ask(struct context *context, int is_new) {
    int segment_fd = context->seat.segment_fd; /* before the control thread can know of it, and close it */
    struct client *client = context->client;
    struct asking asking = begin(context, is_new);
    BERTH_KILL_POINT("host.open_begun");
    int rc = asking.connection ? asks_now(context, asking.connection, asking.closed_before, segment_fd) : -ENOTCONN;
    if (!is_gone(rc) || (asking.connection && client->service.path)) {
        BERTH_KILL_POINT("host.open_sent");
        return;
    }
    if (!client->service.path) {
        context_end_text(context, BERTH_RET_UNAVAILABLE, BERTH_TEXT_SUPERVISOR_GONE);
        return;
    }
    wait_for_supervisor(context);
    supervisor_want(client);
}

void asks_first(struct context *context) { ask(context, 1); }
void asks_again(struct context *context) { ask(context, 0); }

void asks_list(struct context *context) {
    struct client *client = context->client;
    pthread_mutex_lock(&client->lock);
    list(client, context);
    pthread_mutex_unlock(&client->lock);
}
