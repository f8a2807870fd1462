/* Connecting: find a supervisor or start one, shake hands, start the control thread. */
#include "client.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "context.h"
#include "fork_guard.h"
#include "kill_point.h"
#include "private_supervisor.h"
#include "raw_io.h"

struct handle_table berth_clients = HANDLE_TABLE_INIT;

#define SEND_TIMEOUT_MS 5000
#define HELLO_TIMEOUT_MS 10000
#define QUIET_TIMEOUT_S 30

static __thread int own_thread;

int client_is_own_thread(void) { return own_thread; }
void client_mark_own_thread(void) { own_thread = 1; }

struct client *client_acquire(berth_client handle) {
    return fork_guard_is_child() ? NULL : handle_acquire(&berth_clients, handle.bits);
}

static void client_free(struct client *client) {
    uint64_t handle = client->handle;
    raw_close(client->socket);
    raw_close(client->epoll);
    raw_close(client->wake);
    raw_close(client->alarm);
    raw_close(client->supervisor_pidfd);
    reattach_free(client);
    free(client);
    if (handle)
        handle_free_slot(&berth_clients, handle);
}

void client_release(struct client *client) {
    if (handle_release(&berth_clients, client->handle))
        client_free(client);
}

int client_send(struct client *client, const struct berth_control_message *message, const int *fds, uint32_t count) {
    pthread_mutex_lock(&client->send_lock);
    int rc = control_socket_send(client->socket, message, fds, count, SEND_TIMEOUT_MS);
    pthread_mutex_unlock(&client->send_lock);
    return rc;
}

int client_send_on(struct client *client, uint64_t connection, const struct berth_control_message *message,
                   const int *fds, uint32_t count) {
    pthread_mutex_lock(&client->send_lock);
    int rc = client->connection == connection
                 ? control_socket_send(client->socket, message, fds, count, SEND_TIMEOUT_MS)
                 : -ESTALE;
    pthread_mutex_unlock(&client->send_lock);
    return rc;
}

void client_send_closing(struct client *client, uint64_t connection, uint64_t context, uint32_t timeout_ms) {
    struct berth_control_message message;
    berth_control_init(&message, BERTH_MSG_CLOSING);
    berth_control_set_uint(&message, BERTH_KEY_CONTEXT, context);
    berth_control_set_uint(&message, BERTH_KEY_TIMEOUT_MS, timeout_ms);
    client_send_on(client, connection, &message, NULL, 0);
}

void client_hello(struct berth_control_message *hello) {
    static const char name[] = "libberth " BERTH_VERSION;
    berth_control_init(hello, BERTH_MSG_HELLO);
    berth_control_set_uint(hello, BERTH_KEY_VERSION_MIN, BERTH_CONTROL_VERSION_MIN);
    berth_control_set_uint(hello, BERTH_KEY_VERSION_MAX, BERTH_CONTROL_VERSION_MAX);
    berth_control_set_text(hello, BERTH_KEY_NAME, name, sizeof name - 1);
}

void client_kick(struct client *client) { raw_signal(client->wake); }

void client_kick_at(struct client *client, uint64_t due_ns) {
    struct itimerspec at = {.it_value = {(time_t)(due_ns / 1000000000u), (long)(due_ns % 1000000000u)}};
    pthread_mutex_lock(&client->alarm_lock);
    if (!client->alarm_due_ns || due_ns < client->alarm_due_ns) {
        client->alarm_due_ns = due_ns;
        raw_syscall(SYS_timerfd_settime, client->alarm, TFD_TIMER_ABSTIME, (long)&at, 0, 0);
    }
    pthread_mutex_unlock(&client->alarm_lock);
}

void client_alarm_clear(struct client *client) {
    pthread_mutex_lock(&client->alarm_lock);
    client->alarm_due_ns = 0;
    raw_clear(client->alarm);
    pthread_mutex_unlock(&client->alarm_lock);
}

/* --- finding a supervisor ---------------------------------------------------------------------------------------- */

/* `used` (PATH_MAX bytes) gets the path that was tried last. */
static int connect_service(const struct berth_options *options, char *used) {
    const char *named = options->socket_path;
    if (!named)
        named = secure_getenv("BERTH_SOCKET");
    if (named && *named) {
        snprintf(used, PATH_MAX, "%s", named);
        return control_socket_connect(named);
    }
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    int fd = -ENOENT;
    if (runtime && snprintf(used, PATH_MAX, "%s/berth/berthd.sock", runtime) < PATH_MAX)
        fd = control_socket_connect(used);
    if (fd >= 0)
        return fd;
    snprintf(used, PATH_MAX, "/run/berth/berthd.sock");
    return control_socket_connect(used);
}

/* *used is empty when the supervisor is a private one. */
static int find_supervisor(const struct berth_options *options, char *used) {
    char why[256];
    int fd = -ENOENT;
    if (!(options->flags & BERTH_PRIVATE))
        fd = connect_service(options, used);
    if (fd >= 0 || (options->flags & BERTH_NO_PRIVATE))
        return fd;
    used[0] = 0;
    return private_supervisor_start(options->module_dir, why, sizeof why);
}

static int ret_of(int rc) { return rc == -EACCES || rc == -EPERM ? BERTH_RET_DENIED : BERTH_RET_UNAVAILABLE; }

static int shake_hands(int socket, uint32_t *supervisor_pid) {
    struct berth_control_message hello;
    struct control_packet *packet = malloc(sizeof *packet);
    if (!packet)
        return BERTH_RET_EXHAUSTED;
    client_hello(&hello);
    int ret = BERTH_RET_UNAVAILABLE;
    if (control_socket_send(socket, &hello, NULL, 0, SEND_TIMEOUT_MS) == 0) {
        BERTH_KILL_POINT("host.hello_sent");
        int rc = control_socket_receive(socket, packet, HELLO_TIMEOUT_MS);
        if (rc == -EBADMSG)
            ret = BERTH_RET_PROTOCOL;
        else if (rc == 1 && packet->message.type == BERTH_MSG_WELCOME) {
            uint64_t version = packet->message.fields[BERTH_KEY_VERSION].number;
            ret = version >= BERTH_CONTROL_VERSION_MIN && version <= BERTH_CONTROL_VERSION_MAX ? BERTH_RET_OK
                                                                                             : BERTH_RET_PROTOCOL;
            *supervisor_pid = (uint32_t)packet->message.fields[BERTH_KEY_PID].number;
        } else if (rc == 1) {
            ret = BERTH_RET_PROTOCOL;
        }
    }
    free(packet);
    return ret;
}

/* --- connect and disconnect -------------------------------------------------------------------------------------- */

static int watch(struct client *client, int fd, uint64_t tag) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = tag}};
    return (int)raw_syscall(SYS_epoll_ctl, client->epoll, EPOLL_CTL_ADD, fd, (long)&event, 0);
}

static int start_control_thread(struct client *client) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&client->control_thread, NULL, control_thread_run, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static struct client *client_new(int socket, const char *path, uint32_t pid) {
    uint32_t private_pid = *path ? 0 : pid;
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->socket = socket;
    client->supervisor_pidfd = private_pid ? (int)raw_syscall(SYS_pidfd_open, private_pid, 0, 0, 0, 0) : -1;
    client->epoll = (int)raw_syscall(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0);
    client->wake = (int)raw_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0);
    client->alarm = (int)raw_syscall(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK, 0, 0, 0);
    pthread_mutex_init(&client->alarm_lock, NULL);
    pthread_mutex_init(&client->send_lock, NULL);
    pthread_mutex_init(&client->status_lock, NULL);
    pthread_mutex_init(&client->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&client->changed, &monotonic);
    client->connection = 1;
    callback_pool_init(&client->callback_pool, client);
    if (reattach_init(client, *path ? path : NULL, socket) == 0 && client->epoll >= 0 && client->wake >= 0 &&
        client->alarm >= 0 && watch(client, client->socket, CLIENT_TAG_SOCKET) == 0 &&
        watch(client, client->wake, CLIENT_TAG_WAKE) == 0 &&
        watch(client, client->alarm, CLIENT_TAG_ALARM) == 0) {
        client->handle = handle_new(&berth_clients, client);
        if (client->handle && start_control_thread(client) == 0)
            return client;
    }
    if (client->handle)
        handle_end(&berth_clients, client->handle);
    client->socket = -1; /* the caller's still */
    client_free(client);
    return NULL;
}

int berth_connect(const struct berth_options *given, berth_client *out) {
    struct berth_options options = {.size = sizeof options};
    char path[PATH_MAX] = "";
    int saved = errno;
    uint32_t pid = 0;
    if (!out || (given && given->size != sizeof *given) ||
        (given && (given->flags & ~(BERTH_PRIVATE | BERTH_NO_PRIVATE))))
        return BERTH_RET_INVALID_ARGUMENT;
    if (given)
        options = *given;
    out->bits = 0;
    if (fork_guard_is_child())
        return BERTH_RET_FORKED;
    if (fork_guard_init() != 0)
        return BERTH_RET_EXHAUSTED;
    int socket = find_supervisor(&options, path);
    int ret = socket < 0 ? ret_of(socket) : shake_hands(socket, &pid);
    struct client *client = ret == BERTH_RET_OK ? client_new(socket, path, pid) : NULL;
    if (client)
        out->bits = client->handle;
    else if (socket >= 0)
        raw_close(socket);
    errno = saved;
    return ret == BERTH_RET_OK && !client ? BERTH_RET_EXHAUSTED : ret;
}

/* One that close_all has not had yet, with a reference; NULL: none. Looked for from the front each time: contexts that
 * the host had begun to close end meanwhile, and the control thread takes them, and their neighbours, off the list. */
static struct context *next_to_close(struct client *client) {
    pthread_mutex_lock(&client->lock);
    struct context *context = client->contexts;
    while (context && context->disconnecting)
        context = context->next;
    if (context) {
        context->disconnecting = 1;
        /* The list holds a reference of its own, so the handle may be over and the context is still there. */
        handle_retain(&berth_contexts, context->handle);
    }
    pthread_mutex_unlock(&client->lock);
    return context;
}

static void close_all(struct client *client) {
    for (struct context *context; (context = next_to_close(client));) {
        context_begin_close(context, NULL, NULL);
        context_wait_closed(context);
        context_end(context); /* what is not reaped by now never is */
        context_release(context);
    }
}

static int wait_quiet(struct client *client) {
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += QUIET_TIMEOUT_S;
    pthread_mutex_lock(&client->lock);
    while (client->context_count && rc == 0)
        rc = pthread_cond_timedwait(&client->changed, &client->lock, &until);
    pthread_mutex_unlock(&client->lock);
    return rc;
}

/* A private supervisor ends with its host's connection; when this returns its processes are gone too. */
static void wait_supervisor(struct client *client) {
    struct pollfd poll = {client->supervisor_pidfd, POLLIN, 0};
    if (client->supervisor_pidfd < 0)
        return;
    raw_syscall(SYS_shutdown, client->socket, SHUT_RDWR, 0, 0, 0);
    if (raw_syscall(SYS_poll, (long)&poll, 1, 20000, 0, 0) == 0)
        raw_syscall(SYS_pidfd_send_signal, client->supervisor_pidfd, SIGKILL, 0, 0, 0);
}

int berth_disconnect(berth_client handle) {
    if (fork_guard_is_child())
        return BERTH_RET_FORKED;
    if (client_is_own_thread())
        return BERTH_RET_BUSY;
    struct client *client = handle_acquire(&berth_clients, handle.bits);
    if (!client)
        return BERTH_RET_INVALID_CTX;
    if (!handle_end(&berth_clients, handle.bits)) {
        client_release(client);
        return BERTH_RET_INVALID_CTX;
    }
    close_all(client);
    int late = wait_quiet(client);
    if (late == 0) {
        __atomic_store_n(&client->stopping, 1, __ATOMIC_SEQ_CST);
        client_kick(client);
        pthread_join(client->control_thread, NULL);
        callback_pool_stop(&client->callback_pool);
        wait_supervisor(client);
        client_release(client); /* the owner's */
    }
    client_release(client);
    return late ? BERTH_RET_BUSY : BERTH_RET_OK;
}

int berth_status(berth_client handle, struct berth_reply *reply) {
    if (!reply)
        return BERTH_RET_INVALID_ARGUMENT;
    memset(reply, 0, sizeof *reply);
    struct client *client = client_acquire(handle);
    if (!client)
        return reply_text(reply, fork_guard_is_child() ? BERTH_RET_FORKED : BERTH_RET_INVALID_CTX, "no such client");
    struct berth_control_message message;
    berth_control_init(&message, BERTH_MSG_STATUS);
    pthread_mutex_lock(&client->status_lock);
    int ret = control_thread_ask(client, &message, reply);
    pthread_mutex_unlock(&client->status_lock);
    client_release(client);
    return ret;
}
