#include "connection/questions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/raw_io.h"
#include "base/reply.h"
#include "connection/supervisor_wait.h"
#include "status.h"

#define ANSWER_TIMEOUT_NS 10000000000u
#define RECONNECT_MS 2000u
#define BODY_MOST ((off_t)64 << 20)

void question_answered(struct client *client, struct control_packet *packet, int32_t ret) {
    const struct berth_control_field *text = &packet->message.fields[BERTH_KEY_TEXT];
    uint64_t seq = packet->message.fields[BERTH_KEY_SEQ].number;
    pthread_mutex_lock(&client->lock);
    for (struct control_waiter *waiter = client->waiters; waiter; waiter = waiter->next) {
        if (waiter->seq != seq || waiter->done)
            continue;
        waiter->ret = packet->fds_lost ? BERTH_RET_EXHAUSTED : ret;
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

void questions_fail(struct client *client) {
    pthread_mutex_lock(&client->lock);
    for (struct control_waiter *waiter = client->waiters; waiter; waiter = waiter->next) {
        waiter->ret = BERTH_RET_UNAVAILABLE;
        waiter->done = 1;
        parker_unpark(&waiter->parker);
    }
    pthread_mutex_unlock(&client->lock);
}

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

static const char *silence(int ret) {
    return ret == BERTH_RET_EXHAUSTED ? "no descriptor left in this process for the supervisor's answer"
                                      : "the supervisor did not answer";
}

int question_ask(struct client *client, struct berth_control_message *message, struct berth_reply *reply) {
    struct control_waiter waiter = {.ret = BERTH_RET_TIMEOUT, .fd = -1};
    uint64_t deadline = berth_now_ns() + ANSWER_TIMEOUT_NS;
    if (!supervisor_wait(client, RECONNECT_MS))
        return reply_text(reply, BERTH_RET_UNAVAILABLE, BERTH_TEXT_SUPERVISOR_GONE);
    pthread_mutex_lock(&client->lock);
    waiter.seq = ++client->next_seq;
    waiter.next = client->waiters;
    client->waiters = &waiter;
    pthread_mutex_unlock(&client->lock);
    berth_control_set_uint(message, BERTH_KEY_SEQ, waiter.seq);
    int rc = client_send(client, message, deadline);
    if (rc != 0 && rc != -EAGAIN)
        waiter.ret = BERTH_RET_UNAVAILABLE;
    while (rc == 0 && !waiter_done(client, &waiter) && berth_now_ns() < deadline)
        parker_park(&waiter.parker, deadline);
    unlink_waiter(client, &waiter);
    if (waiter.fd < 0 && waiter.ret == BERTH_RET_OK) {
        reply_set(reply, BERTH_RET_OK, "\xf6", 1);
        return reply->ret;
    }
    if (waiter.fd < 0)
        return reply_text(reply, waiter.ret, waiter.text[0] ? waiter.text : silence(waiter.ret));
    int ret = read_body(waiter.fd, reply);
    raw_close(waiter.fd);
    return ret;
}

int question_ask_by(berth_client handle, struct berth_control_message *message, struct berth_reply *reply) {
    struct client *client = client_acquire(handle);
    if (!client)
        return reply_text(reply, handle_refusal(&berth_clients, handle.bits), "no such client");
    int ret = question_ask(client, message, reply);
    client_release(client);
    return ret;
}
