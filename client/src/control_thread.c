/* The one thread per connection that listens to the supervisor and to the workers' pidfds, and does what is due for
 * contexts. It never runs host code. Asleep in epoll_wait while nothing happens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client.h"
#include "context.h"
#include "kill_point.h"
#include "raw_io.h"

#define ANSWER_TIMEOUT_NS 10000000000u
#define RECONNECT_MS 2000u
#define BODY_MOST ((off_t)64 << 20)

/* The context that `matches`, with a reference. */
static struct context *find_context(struct client *client, int by_seq, uint64_t key) {
    pthread_mutex_lock(&client->lock);
    struct context *context = client->contexts;
    while (context && (by_seq ? context->open_seq != key
                              : context->id != key || context->known_on != client->connection))
        context = context->next;
    if (context)
        handle_retain(&berth_contexts, context->handle);
    pthread_mutex_unlock(&client->lock);
    return context;
}

static void changed(struct client *client) {
    pthread_mutex_lock(&client->lock);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void answer_waiter(struct client *client, struct control_packet *packet, int32_t ret) {
    const struct berth_control_field *text = &packet->message.fields[BERTH_KEY_TEXT];
    uint64_t seq = packet->message.fields[BERTH_KEY_SEQ].number;
    pthread_mutex_lock(&client->lock);
    for (struct control_waiter *waiter = client->waiters; waiter; waiter = waiter->next) {
        if (waiter->seq != seq || waiter->done)
            continue;
        waiter->ret = ret;
        snprintf(waiter->text, sizeof waiter->text, "%.*s", (int)text->len, text->len ? (const char *)text->data : "");
        if (packet->fd_count) {
            waiter->fd = packet->fds[0];
            packet->fd_count = 0;
        }
        waiter->done = 1;
        parker_unpark(&waiter->parker);
    }
    pthread_mutex_unlock(&client->lock);
}

static int take_message(struct client *client, struct control_packet *packet) {
    const struct berth_control_field *fields = packet->message.fields;
    struct context *context = NULL;
    switch (packet->message.type) {
    case BERTH_MSG_OPENED:
        context = find_context(client, 1, fields[BERTH_KEY_SEQ].number);
        if (context && !context->opened)
            context_opened(context, packet);
        break;
    case BERTH_MSG_REFUSED:
        context = find_context(client, 1, fields[BERTH_KEY_SEQ].number);
        if (context && context->opened)
            reclaim_refused(client, context, &packet->message);
        else if (context)
            context_refused(context, &packet->message);
        else
            answer_waiter(client, packet, (int32_t)fields[BERTH_KEY_RET].number);
        break;
    case BERTH_MSG_REJOINED:
        context = find_context(client, 1, fields[BERTH_KEY_SEQ].number);
        reclaim_granted(client, context, &packet->message);
        break;
    case BERTH_MSG_WORKER_DIED:
        context = find_context(client, 0, fields[BERTH_KEY_CONTEXT].number);
        if (context)
            context_died(context, &packet->message);
        break;
    case BERTH_MSG_STATUS_REPLY:
    case BERTH_MSG_CRASHES_REPLY:
    case BERTH_MSG_RESET_DONE: answer_waiter(client, packet, BERTH_RET_OK); break;
    default: return 0;
    }
    if (context)
        context_release(context);
    for (uint32_t i = 0; i < packet->fd_count; i++)
        raw_close(packet->fds[i]);
    changed(client);
    return 1;
}

/* Contexts that have their worker go on without a supervisor; those that wait for one ask the next, if there can be
 * one. */
static void supervisor_gone(struct client *client) {
    static const char text[] = "the supervisor is gone";
    __atomic_store_n(&client->disconnected, 1, __ATOMIC_SEQ_CST);
    BERTH_KILL_POINT("host.supervisor_gone");
    raw_syscall(SYS_epoll_ctl, client->epoll, EPOLL_CTL_DEL, client->socket, 0, 0);
    reattach_lost(client);
    for (;;) {
        pthread_mutex_lock(&client->lock);
        struct context *context = client->contexts;
        while (context &&
               (context->opened || !context->asked_on || __atomic_load_n(&context->failed, __ATOMIC_ACQUIRE)))
            context = context->next;
        if (context) {
            context->asked_on = 0;
            handle_retain(&berth_contexts, context->handle);
        }
        for (struct control_waiter *waiter = client->waiters; waiter; waiter = waiter->next) {
            waiter->ret = BERTH_RET_UNAVAILABLE;
            waiter->done = 1;
            parker_unpark(&waiter->parker);
        }
        pthread_mutex_unlock(&client->lock);
        if (!context)
            break;
        if (!reclaim_withdraw(context, berth_now_ns()))
            context_fail_now(context, BERTH_RET_UNAVAILABLE, text, sizeof text - 1);
        context_release(context);
    }
    changed(client);
}

/* One message: epoll comes back for the next, and mostly there is none. */
static void read_socket(struct client *client, struct control_packet *packet) {
    int rc = control_socket_receive(client->socket, packet, 0);
    if (rc < 0 || (rc > 0 && !take_message(client, packet)))
        supervisor_gone(client);
}

/* The pidfd is first; the supervisor, if there is one, soon says how the worker died. */
static void worker_gone(struct client *client, uint64_t handle) {
    pthread_mutex_lock(&client->lock);
    struct context *context = client->contexts;
    while (context && context->handle != handle)
        context = context->next;
    if (context) {
        raw_syscall(SYS_epoll_ctl, client->epoll, EPOLL_CTL_DEL, context->worker_pidfd, 0, 0);
        handle_retain(&berth_contexts, context->handle);
    }
    pthread_mutex_unlock(&client->lock);
    if (!context)
        return;
    BERTH_KILL_POINT("host.death_seen");
    if (__atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE) || context->known_on != client->connection) {
        context_died(context, NULL);
    } else {
        context->died_ns = berth_now_ns();
        context_arm_tick(context, context->died_ns + DIED_GRACE_NS);
    }
    context_release(context);
}

/* Frees what is over; returns when to look again. */
static uint64_t look_after_contexts(struct client *client) {
    uint64_t next = 0, now = berth_now_ns();
    pthread_mutex_lock(&client->lock);
    for (struct context **at = &client->contexts; *at;) {
        struct context *context = *at;
        handle_retain(&berth_contexts, context->handle);
        pthread_mutex_unlock(&client->lock);
        if (context_restart_is_due(context))
            context_restart(context);
        uint64_t due = context_tick(context, now);
        int over = __atomic_load_n(&context->ended, __ATOMIC_SEQ_CST) &&
                   __atomic_load_n(&context->settled, __ATOMIC_SEQ_CST) && context_threads_gone(context);
        pthread_mutex_lock(&client->lock);
        if (due && (!next || due < next))
            next = due;
        /* Only this thread takes from the list; others put in front. */
        at = &client->contexts;
        while (*at != context)
            at = &(*at)->next;
        if (over) {
            *at = context->next;
            client->context_count--;
            pthread_cond_broadcast(&client->changed);
            pthread_mutex_unlock(&client->lock);
            context_unwatch_worker(context);
            context_release(context); /* the owner's */
            context_release(context);
            pthread_mutex_lock(&client->lock);
            at = &client->contexts; /* neighbours may have moved: start over, what was seen is cheap */
            if (!*at)
                break;
            continue;
        }
        at = &context->next;
        pthread_mutex_unlock(&client->lock);
        context_release(context);
        pthread_mutex_lock(&client->lock);
    }
    pthread_mutex_unlock(&client->lock);
    return next;
}

void *control_thread_run(void *argument) {
    struct client *client = argument;
    struct control_packet *packet = malloc(sizeof *packet);
    struct epoll_event events[32];
    client_mark_own_thread();
    while (packet && !__atomic_load_n(&client->stopping, __ATOMIC_SEQ_CST)) {
        long count = raw_syscall(SYS_epoll_pwait, client->epoll, (long)events, 32, -1, 0);
        for (long i = 0; i < count; i++) {
            if (events[i].data.u64 == CLIENT_TAG_SOCKET)
                read_socket(client, packet);
            else if (events[i].data.u64 == CLIENT_TAG_WAKE)
                raw_clear(client->wake);
            else if (events[i].data.u64 == CLIENT_TAG_ALARM)
                client_alarm_clear(client);
            else if (events[i].data.u64 == CLIENT_TAG_REATTACH)
                reattach_readable(client, packet);
            else
                worker_gone(client, events[i].data.u64);
        }
        uint64_t due = look_after_contexts(client);
        callback_pool_join(&client->callback_pool);
        uint64_t reattach_due = reattach_tick(client, berth_now_ns());
        if (reattach_due && (!due || reattach_due < due))
            due = reattach_due;
        if (due)
            client_kick_at(client, due);
    }
    free(packet);
    return NULL;
}

/* --- questions ------------------------------------------------------------------------------------------------------ */

static int read_body(int fd, struct berth_reply *reply) {
    struct stat file;
    if (fstat(fd, &file) != 0 || file.st_size <= 0 || file.st_size > BODY_MOST)
        return reply_text(reply, BERTH_RET_PROTOCOL, "the supervisor's answer has no body");
    uint8_t *body = malloc((size_t)file.st_size);
    if (!body)
        return reply_text(reply, BERTH_RET_ERR, "no memory for the answer");
    long got = raw_syscall(SYS_pread64, fd, (long)body, file.st_size, 0, 0);
    int ret = got == file.st_size ? BERTH_RET_OK : BERTH_RET_PROTOCOL;
    reply_set(reply, ret, body, ret == BERTH_RET_OK ? (size_t)got : 0);
    free(body);
    return ret;
}

static void unlink_waiter(struct client *client, struct control_waiter *waiter) {
    pthread_mutex_lock(&client->lock);
    struct control_waiter **at = &client->waiters;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    pthread_mutex_unlock(&client->lock);
}

static int waiter_done(struct client *client, struct control_waiter *waiter) {
    pthread_mutex_lock(&client->lock);
    int done = waiter->done;
    pthread_mutex_unlock(&client->lock);
    return done;
}

int control_thread_ask(struct client *client, struct berth_control_message *message, struct berth_reply *reply) {
    struct control_waiter waiter = {.ret = BERTH_RET_TIMEOUT, .fd = -1};
    uint64_t deadline = berth_now_ns() + ANSWER_TIMEOUT_NS;
    if (!reattach_wait(client, RECONNECT_MS))
        return reply_text(reply, BERTH_RET_UNAVAILABLE, "the supervisor is gone");
    pthread_mutex_lock(&client->lock);
    waiter.seq = ++client->next_seq;
    waiter.next = client->waiters;
    client->waiters = &waiter;
    pthread_mutex_unlock(&client->lock);
    berth_control_set_uint(message, BERTH_KEY_SEQ, waiter.seq);
    if (client_send(client, message, NULL, 0) == 0)
        while (!waiter_done(client, &waiter) && berth_now_ns() < deadline)
            parker_park(&waiter.parker, deadline);
    else
        waiter.ret = BERTH_RET_UNAVAILABLE;
    unlink_waiter(client, &waiter);
    if (waiter.fd < 0 && waiter.ret == BERTH_RET_OK) {
        reply_set(reply, BERTH_RET_OK, "\xf6", 1);
        return reply->ret;
    }
    if (waiter.fd < 0)
        return reply_text(reply, waiter.ret, waiter.text[0] ? waiter.text : "the supervisor did not answer");
    int ret = read_body(waiter.fd, reply);
    raw_close(waiter.fd);
    return ret;
}
