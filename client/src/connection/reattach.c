#include "connection/reattach.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "base/raw_io.h"
#include "connection/client.h"
#include "connection/reclaim.h"
#include "kill_point.h"

#define FIRST_TRY_MS 50u
#define MOST_TRY_MS 1000u

/* A quarter more or less, so that many hosts do not knock in step. */
static void plan(struct client *client) {
    struct reattach *reattach = &client->reattach;
    uint64_t now = berth_now_ns();
    uint64_t ms = FIRST_TRY_MS << (reattach->failures < 5 ? reattach->failures : 5);
    if (ms > MOST_TRY_MS)
        ms = MOST_TRY_MS;
    uint64_t jitter = (now / 1000 * 2654435761u + client->handle) % 512;
    reattach->failures++;
    __atomic_store_n(&reattach->due_ns, now + ms * (744000 + jitter * 1000), __ATOMIC_SEQ_CST);
}

void reattach_lost(struct client *client) {
    /* A supervisor that lives, and did what no supervisor does, is to see that we are gone. */
    raw_syscall(SYS_shutdown, client->socket, SHUT_RDWR, 0, 0, 0);
    client->reattach.failures = 0;
    client->reattach.claiming = 0;
    if (client->service.path)
        plan(client);
}

/* Whether anybody would have something of a supervisor. */
static int needed(struct client *client) {
    int yes = __atomic_load_n(&client->reattach.wanted, __ATOMIC_SEQ_CST) != 0;
    pthread_mutex_lock(&client->lock);
    for (struct context *context = client->contexts; context && !yes; context = context->seat.next)
        yes = !verdict_is_given(&context->channel.verdict);
    pthread_mutex_unlock(&client->lock);
    return yes;
}

static void drop(struct client *client) {
    client_unwatch(client, client->reattach.socket);
    raw_close(client->reattach.socket);
    client->reattach.socket = -1;
    plan(client);
}

static void try_connect(struct client *client) {
    struct berth_control_message hello;
    struct reattach *reattach = &client->reattach;
    int fd = service_address_connect(&client->service);
    if (fd < 0) {
        plan(client);
        return;
    }
    reattach->socket = fd;
    client_hello(&hello);
    if (client_watch(client, fd, EPOLLIN, CLIENT_TAG_REATTACH) != 0 ||
        control_socket_send(fd, &hello, NULL, 0) != 0)
        drop(client);
    BERTH_KILL_POINT("host.hello_sent_again");
}

static uint64_t tick_connected(struct client *client, uint64_t now) {
    struct reattach *reattach = &client->reattach;
    if (__atomic_load_n(&reattach->asking, __ATOMIC_SEQ_CST))
        reclaim_asks(client);
    uint64_t due = reattach->claiming ? reclaim_contexts(client, now) : 0;
    return __atomic_load_n(&reattach->asking, __ATOMIC_SEQ_CST) ? clock_sooner(due, now + CLIENT_SEND_AGAIN_NS) : due;
}

uint64_t reattach_tick(struct client *client, uint64_t now) {
    struct reattach *reattach = &client->reattach;
    if (!client_is_disconnected(client))
        return tick_connected(client, now);
    uint64_t due = __atomic_load_n(&reattach->due_ns, __ATOMIC_SEQ_CST);
    if (!client->service.path || reattach->socket >= 0 || !due || !needed(client))
        return 0;
    if (due > now)
        return due;
    __atomic_store_n(&reattach->due_ns, 0, __ATOMIC_SEQ_CST);
    try_connect(client);
    return __atomic_load_n(&reattach->due_ns, __ATOMIC_SEQ_CST);
}

/* The new socket takes the old one's number, so that whoever sends never sees a closed one. */
static void take_over(struct client *client) {
    struct reattach *reattach = &client->reattach;
    client_unwatch(client, reattach->socket);
    pthread_mutex_lock(&client->send_lock);
    raw_syscall(SYS_dup3, reattach->socket, client->socket, O_CLOEXEC, 0, 0);
    pthread_mutex_lock(&client->lock);
    client->connection++;
    __atomic_store_n(&client->disconnected, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&client->lock);
    pthread_mutex_unlock(&client->send_lock);
    eventcount_advance(&client->changed);
    raw_close(reattach->socket);
    reattach->socket = -1;
    reattach->failures = 0;
    reattach->claiming = 1;
    client_watch(client, client->socket, EPOLLIN, CLIENT_TAG_SOCKET);
    BERTH_KILL_POINT("host.connected_again");
    reclaim_contexts(client, berth_now_ns());
    reclaim_asks(client);
}

void reattach_readable(struct client *client, struct control_packet *packet) {
    int rc = control_socket_receive(client->reattach.socket, packet, 0);
    if (rc == 0)
        return;
    uint64_t version =
        rc == 1 && packet->message.type == BERTH_MSG_WELCOME ? packet->message.fields[BERTH_KEY_VERSION].number : 0;
    for (uint32_t i = 0; rc == 1 && i < packet->fd_count; i++)
        raw_close(packet->fds[i]);
    if (version >= CLIENT_VERSION_LEAST && version <= BERTH_CONTROL_VERSION_MAX)
        take_over(client);
    else
        drop(client);
}
