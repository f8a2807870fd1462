/* A connection to a supervisor: the control socket, the thread that reads it, and the contexts opened through it. */
#ifndef BERTH_CLIENT_H
#define BERTH_CLIENT_H

#include <pthread.h>

#include "base/alarm.h"
#include "base/eventcount.h"
#include "base/handle_table.h"
#include "base/parker.h"
#include "berth/berth.h"
#include "connection/control_socket.h"
#include "connection/private_supervisor.h"
#include "connection/reattach.h"
#include "connection/service_address.h"
#include "context/context.h"
#include "delivery/callback_pool.h"

/* What the control thread's epoll tells apart; the rest are a context's handle, for its worker's pidfd, or with
 * CLIENT_TAG_READ in it for its answers. */
enum { CLIENT_TAG_SOCKET, CLIENT_TAG_WAKE, CLIENT_TAG_REATTACH, CLIENT_TAG_TIMER, CLIENT_TAG_LAST };
#define CLIENT_TAG_READ ((uint64_t)1 << 31) /* no handle has it: its low half is a slot's number */

/* Somebody waits for the answer to a control request of its own (status, crashes, reset). */
struct control_waiter {
    uint64_t seq;
    int done;
    int32_t ret;
    int fd; /* that came with the answer, or -1 */
    char text[256];
    struct parker parker;
    struct control_waiter *next;
};

/* What closings.c has still to tell the supervisor. */
struct unsaid_closing {
    struct unsaid_closing *next;
    uint64_t connection, context;
    uint32_t timeout_ms;
};

#define CLIENT_VERSION_LEAST 3u /* of the control protocol: an open brings a wake socket */

struct client {
    uint64_t handle;
    int socket; /* the number never changes; a new connection takes the old one's place */
    int epoll;
    struct alarm alarm;   /* the control thread is to look at `stopping` and at its contexts */
    int supervisor_pidfd; /* of a private supervisor, else -1 */
    struct private_supervisor own_supervisor;
    struct service_address service; /* never changes */
    pthread_t control_thread;
    struct callback_pool callback_pool;
    struct channel_spare spare; /* for the next open */

    pthread_mutex_t send_lock;   /* one packet at a time on the socket */
    pthread_mutex_t status_lock; /* one status at a time, as the supervisor has it */

    pthread_mutex_t lock;
    struct context *contexts; /* under lock, as what follows up to connection. Only the control thread takes off */
    uint32_t context_count, opens_under_way; /* the latter are not listed yet */
    int closing;                             /* it takes no more opens */
    struct control_waiter *waiters;
    uint64_t next_seq;
    uint64_t just_closed,
        just_closed_on;        /* a quick close that the supervisor was not told of; its connection, 0: none */
    uint64_t connection;       /* counts the supervisors that this client has had; changes under send_lock and lock */
    struct eventcount changed; /* a context is gone, or there is a supervisor again */

    uint32_t disconnected;    /* the supervisor is gone; atomic */
    uint32_t stopping;        /* atomic */
    struct reattach reattach; /* control thread */
    struct unsaid_closing *unsaid; /* under lock */
};

extern struct handle_table berth_clients;

/* Over a socket whose hands are shaken, which stays the caller's where it fails; path: the service's, found by that
 * trust, "" for a private supervisor of that pid. NULL: no memory, descriptors or handles. */
struct client *client_new(int socket, const char *path, const struct socket_trust *trust, uint32_t pid);
struct client *client_acquire(berth_client handle);
void client_retain(struct client *client);
void client_release(struct client *client);

static inline int client_is_disconnected(const struct client *client) {
    return __atomic_load_n(&client->disconnected, __ATOMIC_ACQUIRE) != 0;
}
/* Has the control thread told of `fd`. 0 or -errno. */
int client_watch(struct client *client, int fd, uint32_t events, uint64_t tag);
void client_unwatch(struct client *client, int fd);

/* Sends one message, and waits for room until `deadline_ns`. 0 or a negative errno; -EAGAIN: the supervisor has read
 * nothing for as long. */
int client_send(struct client *client, const struct berth_control_message *message, uint64_t deadline_ns);
/* The same without waiting, if the connection is still that one; else -ESTALE. */
int client_send_on(struct client *client, uint64_t connection, const struct berth_control_message *message,
                   const int *fds, uint32_t count);
/* Whoever has nothing to say to a supervisor that stands still comes again then. */
#define CLIENT_SEND_AGAIN_NS 20000000u
void client_hello(struct berth_control_message *message);

/* A connection is 1 or more. */
static inline uint64_t client_connection(struct client *client) {
    pthread_mutex_lock(&client->lock);
    uint64_t connection = client->connection;
    pthread_mutex_unlock(&client->lock);
    return connection;
}

#endif
