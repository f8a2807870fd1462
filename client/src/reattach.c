#include "reattach.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "client.h"
#include "context.h"
#include "kill_point.h"
#include "raw_io.h"

#define FIRST_TRY_MS 50u
#define MOST_TRY_MS 1000u
#define SEND_TIMEOUT_MS 100

static int peer_uid(int socket, uint32_t *uid) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    long rc = raw_syscall(SYS_getsockopt, socket, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size);
    *uid = peer.uid;
    return (int)rc;
}

/* The host may change its folder. */
static char *absolute(const char *path) {
    char folder[PATH_MAX], *out = NULL;
    if (path[0] == '/' || !getcwd(folder, sizeof folder))
        return strdup(path);
    size_t size = strlen(folder) + strlen(path) + 2;
    out = malloc(size);
    if (out)
        snprintf(out, size, "%s/%s", folder, path);
    return out;
}

int reattach_init(struct client *client, const char *path, int socket) {
    struct reattach *reattach = &client->reattach;
    reattach->socket = -1;
    if (!path || peer_uid(socket, &reattach->uid) != 0)
        return 0;
    int saved = errno;
    reattach->path = absolute(path);
    errno = saved;
    return reattach->path ? 0 : -ENOMEM;
}

void reattach_free(struct client *client) {
    raw_close(client->reattach.socket);
    free(client->reattach.path);
}

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
    if (client->reattach.path)
        plan(client);
}

void reattach_now(struct client *client) {
    if (!client->reattach.path)
        return;
    __atomic_store_n(&client->reattach.due_ns, 1, __ATOMIC_SEQ_CST);
    client_kick(client);
}

int reattach_wait(struct client *client, uint32_t ms) {
    struct timespec until;
    int rc = 0;
    if (!client->reattach.path)
        return !__atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    pthread_mutex_lock(&client->lock);
    client->reattach.wanted++;
    if (__atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE))
        reattach_now(client);
    while (__atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE) && rc == 0)
        rc = pthread_cond_timedwait(&client->changed, &client->lock, &until);
    client->reattach.wanted--;
    int connected = !__atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE);
    pthread_mutex_unlock(&client->lock);
    return connected;
}

/* Whether anybody would have something of a supervisor. */
static int needed(struct client *client) {
    pthread_mutex_lock(&client->lock);
    int yes = client->reattach.wanted != 0;
    for (struct context *context = client->contexts; context && !yes; context = context->next)
        yes = !__atomic_load_n(&context->failed, __ATOMIC_ACQUIRE);
    pthread_mutex_unlock(&client->lock);
    return yes;
}

static void drop(struct client *client) {
    raw_syscall(SYS_epoll_ctl, client->epoll, EPOLL_CTL_DEL, client->reattach.socket, 0, 0);
    raw_close(client->reattach.socket);
    client->reattach.socket = -1;
    plan(client);
}

static int watch(struct client *client, int fd, uint64_t tag) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = tag}};
    return (int)raw_syscall(SYS_epoll_ctl, client->epoll, EPOLL_CTL_ADD, fd, (long)&event, 0);
}

static void try_connect(struct client *client) {
    struct berth_control_message hello;
    struct reattach *reattach = &client->reattach;
    uint32_t uid;
    int fd = control_socket_try(reattach->path);
    if (fd < 0) {
        plan(client);
        return;
    }
    reattach->socket = fd;
    client_hello(&hello);
    if (peer_uid(fd, &uid) != 0 || (uid != 0 && uid != reattach->uid) || watch(client, fd, CLIENT_TAG_REATTACH) != 0 ||
        control_socket_send(fd, &hello, NULL, 0, SEND_TIMEOUT_MS) != 0)
        drop(client);
    BERTH_KILL_POINT("host.hello_sent_again");
}

uint64_t reattach_tick(struct client *client, uint64_t now) {
    struct reattach *reattach = &client->reattach;
    if (!__atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE))
        return reattach->claiming ? reclaim_contexts(client, now) : 0;
    uint64_t due = __atomic_load_n(&reattach->due_ns, __ATOMIC_SEQ_CST);
    if (!reattach->path || reattach->socket >= 0 || !due || !needed(client))
        return 0;
    if (due > now)
        return due;
    __atomic_store_n(&reattach->due_ns, 0, __ATOMIC_SEQ_CST);
    try_connect(client);
    return __atomic_load_n(&reattach->due_ns, __ATOMIC_SEQ_CST);
}

/* The new socket takes the old one's number, so that whoever sends never sees a closed one. */
static void take_over(struct client *client, int claims) {
    struct reattach *reattach = &client->reattach;
    raw_syscall(SYS_epoll_ctl, client->epoll, EPOLL_CTL_DEL, reattach->socket, 0, 0);
    pthread_mutex_lock(&client->send_lock);
    raw_syscall(SYS_dup3, reattach->socket, client->socket, O_CLOEXEC, 0, 0);
    pthread_mutex_lock(&client->lock);
    client->connection++;
    __atomic_store_n(&client->disconnected, 0, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    pthread_mutex_unlock(&client->send_lock);
    raw_close(reattach->socket);
    reattach->socket = -1;
    reattach->failures = 0;
    reattach->claiming = (uint32_t)claims;
    watch(client, client->socket, 0);
    BERTH_KILL_POINT("host.connected_again");
    if (claims)
        reclaim_contexts(client, berth_now_ns());
    reclaim_asks(client);
}

void reattach_readable(struct client *client, struct control_packet *packet) {
    int rc = control_socket_receive(client->reattach.socket, packet, 0);
    if (rc == 0)
        return;
    uint64_t version = rc == 1 && packet->message.type == BERTH_MSG_WELCOME
                           ? packet->message.fields[BERTH_KEY_VERSION].number
                           : 0;
    for (uint32_t i = 0; rc == 1 && i < packet->fd_count; i++)
        raw_close(packet->fds[i]);
    if (version >= BERTH_CONTROL_VERSION_MIN && version <= BERTH_CONTROL_VERSION_MAX)
        take_over(client, version >= 2);
    else
        drop(client);
}
