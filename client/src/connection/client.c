#include "connection/client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/fork_guard.h"
#include "base/raw_io.h"

#define SEND_LOOK_NS 5000000u /* meanwhile the connection may become another */
#define ANY_CONNECTION 0u

struct handle_table berth_clients = HANDLE_TABLE_INIT;

struct client *client_acquire(berth_client handle) {
    return fork_guard_is_child() ? NULL : handle_acquire(&berth_clients, handle.bits);
}

static void client_free(struct client *client) {
    uint64_t handle = client->handle;
    if (client->socket >= 0) /* forked children may have it open, too */
        raw_syscall(SYS_shutdown, client->socket, SHUT_RDWR, 0, 0, 0);
    raw_close(client->socket);
    raw_close(client->epoll);
    alarm_deinit(&client->alarm);
    raw_close(client->supervisor_pidfd);
    raw_close(client->reattach.socket);
    service_address_deinit(&client->service);
    channel_spare_drop(&client->spare);
    for (struct unsaid_closing *next; client->unsaid; client->unsaid = next) {
        next = client->unsaid->next;
        free(client->unsaid);
    }
    free(client);
    if (handle)
        handle_free_slot(&berth_clients, handle);
}

void client_retain(struct client *client) { handle_retain(&berth_clients, client->handle); }

void client_release(struct client *client) {
    if (handle_release(&berth_clients, client->handle))
        client_free(client);
}

int client_watch(struct client *client, int fd, uint32_t events, uint64_t tag) {
    struct epoll_event event = {.events = events, .data = {.u64 = tag}};
    return (int)raw_syscall(SYS_epoll_ctl, client->epoll, EPOLL_CTL_ADD, fd, (long)&event, 0);
}

void client_unwatch(struct client *client, int fd) {
    raw_syscall(SYS_epoll_ctl, client->epoll, EPOLL_CTL_DEL, fd, 0, 0);
}

static int init(struct client *client, const char *path, const struct socket_trust *trust, uint32_t pid) {
    client->supervisor_pidfd = *path ? -1 : raw_above_stdio(raw_syscall(SYS_pidfd_open, pid, 0, 0, 0, 0));
    client->epoll = raw_above_stdio(raw_syscall(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0));
    pthread_mutex_init(&client->send_lock, NULL);
    pthread_mutex_init(&client->status_lock, NULL);
    pthread_mutex_init(&client->lock, NULL);
    client->connection = 1;
    callback_pool_init(&client->callback_pool, &client->alarm);
    int rc = alarm_init(&client->alarm);
    if (rc == 0)
        rc = service_address_init(&client->service, *path ? path : NULL, trust, client->socket);
    if (rc == 0)
        rc = client_watch(client, client->socket, EPOLLIN, CLIENT_TAG_SOCKET);
    if (rc == 0)
        rc = client_watch(client, client->alarm.wake, EPOLLIN, CLIENT_TAG_WAKE);
    return rc == 0 ? client_watch(client, client->alarm.timer, EPOLLIN, CLIENT_TAG_TIMER) : rc;
}

struct client *client_new(int socket, const char *path, const struct socket_trust *trust, uint32_t pid) {
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->socket = socket;
    client->reattach.socket = -1;
    if (init(client, path, trust, pid) == 0)
        client->handle = handle_new(&berth_clients, client);
    if (client->handle)
        return client;
    client->socket = -1; /* the caller's still */
    client_free(client);
    return NULL;
}

int client_send_on(struct client *client, uint64_t connection, const struct berth_control_message *message,
                   const int *fds, uint32_t count) {
    pthread_mutex_lock(&client->send_lock);
    int rc = connection != ANY_CONNECTION && connection != client->connection
                 ? -ESTALE
                 : control_socket_send(client->socket, message, fds, count);
    pthread_mutex_unlock(&client->send_lock);
    return rc;
}

/* While the supervisor's socket is full nobody keeps the lock, so that each waits for as long as it wants to itself. */
int client_send(struct client *client, const struct berth_control_message *message, uint64_t deadline_ns) {
    int rc;
    while ((rc = client_send_on(client, ANY_CONNECTION, message, NULL, 0)) == -EAGAIN && !clock_passed(deadline_ns)) {
        struct pollfd socket = {client->socket, POLLOUT, 0};
        raw_poll(&socket, 1, berth_now_ns() + SEND_LOOK_NS);
    }
    return rc;
}

void client_hello(struct berth_control_message *hello) {
    static const char name[] = "libberth " BERTH_VERSION;
    berth_control_init(hello, BERTH_MSG_HELLO);
    berth_control_set_uint(hello, BERTH_KEY_VERSION_MIN, CLIENT_VERSION_LEAST);
    berth_control_set_uint(hello, BERTH_KEY_VERSION_MAX, BERTH_CONTROL_VERSION_MAX);
    berth_control_set_text(hello, BERTH_KEY_NAME, name, sizeof name - 1);
}
