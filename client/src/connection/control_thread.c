#include "connection/control_thread.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "base/own_thread.h"
#include "base/raw_io.h"
#include "base/signal_mask.h"
#include "channel/baton.h"
#include "connection/closings.h"
#include "connection/questions.h"
#include "connection/reclaim.h"
#include "connection/supervisor_says.h"
#include "kill_point.h"
#include "status.h"

/* --- the supervisor -------------------------------------------------------------------------------------------------
 */

/* The context that `matches`, with a reference. */
static struct context *find(struct client *client,
                            int (*matches)(const struct client *, const struct context *, uint64_t), uint64_t key) {
    pthread_mutex_lock(&client->lock);
    struct context *context = client->contexts;
    while (context && !matches(client, context, key))
        context = context->seat.next;
    if (context)
        context_retain(context);
    pthread_mutex_unlock(&client->lock);
    return context;
}

static int by_seq(const struct client *client, const struct context *context, uint64_t seq) {
    (void)client;
    return context->seat.open_seq == seq;
}

static int by_id(const struct client *client, const struct context *context, uint64_t id) {
    return context->seat.id == id && context->seat.known_on == client->connection;
}

static int by_handle(const struct client *client, const struct context *context, uint64_t handle) {
    (void)client;
    return context->handle == handle;
}

static int has_worker(const struct context *context) { return lease_has(&context->lease, LEASE_HAS_WORKER); }

static struct context *take_refusal(struct client *client, struct control_packet *packet) {
    const struct berth_control_field *fields = packet->message.fields;
    struct context *context = find(client, by_seq, fields[BERTH_KEY_SEQ].number);
    if (!context)
        question_answered(client, packet, (int32_t)fields[BERTH_KEY_RET].number);
    else if (has_worker(context))
        reclaim_refused(client, context, &packet->message);
    else
        supervisor_says_refused(context, &packet->message);
    return context;
}

/* 0: a message that no supervisor sends here. */
static int take_message(struct client *client, struct control_packet *packet) {
    const struct berth_control_field *fields = packet->message.fields;
    struct context *context = NULL;
    int known = 1;
    switch (packet->message.type) {
    case BERTH_MSG_OPENED:
        context = find(client, by_seq, fields[BERTH_KEY_SEQ].number);
        if (!context) /* it ended here meanwhile: the supervisor is to see to its worker */
            closings_say(client, client->connection, fields[BERTH_KEY_CONTEXT].number, 0);
        else if (!has_worker(context))
            supervisor_says_opened(context, packet);
        break;
    case BERTH_MSG_REFUSED:
        context = take_refusal(client, packet);
        break;
    case BERTH_MSG_REJOINED:
        context = find(client, by_seq, fields[BERTH_KEY_SEQ].number);
        reclaim_granted(client, context, &packet->message);
        break;
    case BERTH_MSG_WORKER_DIED:
        context = find(client, by_id, fields[BERTH_KEY_CONTEXT].number);
        if (context)
            supervisor_says_died(context, &packet->message);
        break;
    case BERTH_MSG_STATUS_REPLY:
    case BERTH_MSG_CRASHES_REPLY:
    case BERTH_MSG_RESET_DONE:
        question_answered(client, packet, BERTH_RET_OK);
        break;
    default:
        known = 0;
    }
    if (context)
        context_release(context);
    for (uint32_t i = 0; i < packet->fd_count; i++)
        raw_close(packet->fds[i]);
    return known;
}

static int asked_in_vain(const struct client *client, const struct context *context, uint64_t ignored) {
    (void)client, (void)ignored;
    return !has_worker(context) && context->seat.asked_on && !verdict_is_given(&context->channel.verdict);
}

/* Contexts that have their worker go on without a supervisor; those that wait for one ask the next, if there can be
 * one. */
static void supervisor_gone(struct client *client) {
    __atomic_store_n(&client->disconnected, 1, __ATOMIC_SEQ_CST);
    BERTH_KILL_POINT("host.supervisor_gone");
    client_unwatch(client, client->socket);
    reattach_lost(client);
    questions_fail(client);
    for (struct context *context; (context = find(client, asked_in_vain, 0));) {
        pthread_mutex_lock(&client->lock);
        context->seat.asked_on = 0;
        pthread_mutex_unlock(&client->lock);
        if (!reclaim_withdraw(context, berth_now_ns()))
            context_end_text(context, BERTH_RET_UNAVAILABLE, BERTH_TEXT_SUPERVISOR_GONE);
        context_release(context);
    }
}

/* One message: epoll comes back for the next, and mostly there is none. */
static void read_socket(struct client *client, struct control_packet *packet) {
    int rc = control_socket_receive(client->socket, packet, 0);
    if (rc < 0 || (rc > 0 && !take_message(client, packet)))
        supervisor_gone(client);
}

/* --- workers --------------------------------------------------------------------------------------------------------
 */

/* The pidfd is first; the supervisor, if there is one, soon says how the worker died. */
static void worker_gone(struct client *client, struct context *context) {
    client_unwatch(client, context->lease.worker_pidfd);
    BERTH_KILL_POINT("host.death_seen");
    if (client_is_disconnected(client) || context->seat.known_on != client->connection) {
        supervisor_says_died(context, NULL);
        return;
    }
    uint64_t bound = berth_now_ns() + DIED_GRACE_NS;
    bound_set(&context->lease.bounds, BOUND_DEATH, bound);
    due_arm(&context->due, bound);
}

/* What is owed to nobody in particular is read although no host thread happens to call. */
static void read_answers(struct client *client, struct context *context) {
    if (!__atomic_load_n(&context->channel.last_resort, __ATOMIC_SEQ_CST)) {
        client_unwatch(client, context->channel.wake.poll_fd);
        return;
    }
    channel_take_wakeups(&context->channel);
    context_read(context);
}

static void take_event(struct client *client, struct control_packet *packet, uint64_t tag) {
    switch (tag) {
    case CLIENT_TAG_SOCKET:
        read_socket(client, packet);
        return;
    case CLIENT_TAG_WAKE:
        alarm_take_ring(&client->alarm);
        return;
    case CLIENT_TAG_TIMER:
        alarm_take_time(&client->alarm);
        return;
    case CLIENT_TAG_REATTACH:
        reattach_readable(client, packet);
        return;
    }
    struct context *context = find(client, by_handle, tag & ~CLIENT_TAG_READ);
    if (!context)
        return;
    if (tag & CLIENT_TAG_READ)
        read_answers(client, context);
    else
        worker_gone(client, context);
    context_release(context);
}

/* --- what is due ----------------------------------------------------------------------------------------------------
 */

/* With the lock. Only this thread takes from the list; others put in front. */
static void take_off(struct client *client, struct context *context) {
    struct context **at = &client->contexts;
    while (*at != context)
        at = &(*at)->seat.next;
    *at = context->seat.next;
    client->context_count--;
}

/* With the lock, which it lets go for the work. Returns the next context of the list, or NULL. */
static struct context *look_after(struct client *client, struct context *context, uint64_t now, uint64_t *next_due) {
    context_retain(context);
    pthread_mutex_unlock(&client->lock);
    *next_due = clock_sooner(*next_due, context_tick(context, now));
    int over = context_is_quiet(context);
    pthread_mutex_lock(&client->lock);
    struct context *next = context->seat.next;
    if (over)
        take_off(client, context);
    pthread_mutex_unlock(&client->lock);
    if (over) {
        context_leave_live_worker(context);
        context->home->unwatch_worker(context);
        context_release(context); /* the list's */
        eventcount_advance(&client->changed);
    }
    context_release(context);
    pthread_mutex_lock(&client->lock);
    return next;
}

/* Frees what is over; returns when to look again. */
static uint64_t look_after_contexts(struct client *client) {
    uint64_t next_due = 0, now = berth_now_ns();
    pthread_mutex_lock(&client->lock);
    for (struct context *context = client->contexts; context;)
        context = look_after(client, context, now, &next_due);
    pthread_mutex_unlock(&client->lock);
    return next_due;
}

static void *run(void *argument) {
    struct client *client = argument;
    struct control_packet *packet = malloc(sizeof *packet);
    struct epoll_event events[32];
    own_thread_mark();
    while (packet && !__atomic_load_n(&client->stopping, __ATOMIC_SEQ_CST)) {
        long count = raw_syscall(SYS_epoll_pwait, client->epoll, (long)events, 32, -1, 0);
        for (long i = 0; i < count; i++)
            take_event(client, packet, events[i].data.u64);
        uint64_t due = look_after_contexts(client);
        callback_pool_join(&client->callback_pool);
        due = clock_sooner(due, reattach_tick(client, berth_now_ns()));
        due = clock_sooner(due, closings_say_again(client, berth_now_ns()));
        due = clock_sooner(due, channel_spare_tick(&client->spare, berth_now_ns()));
        if (due)
            alarm_ring_at(&client->alarm, due);
    }
    free(packet);
    return NULL;
}

int control_thread_start(struct client *client) {
    sigset_t own, before;
    signal_mask_own(&own);
    pthread_sigmask(SIG_SETMASK, &own, &before);
    int rc = pthread_create(&client->control_thread, NULL, run, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void control_thread_stop(struct client *client) {
    __atomic_store_n(&client->stopping, 1, __ATOMIC_SEQ_CST);
    alarm_ring(&client->alarm);
    pthread_join(client->control_thread, NULL);
}
