/* A connection to a supervisor: the control socket, the thread that reads it, and the contexts opened through it. */
#ifndef BERTH_CLIENT_H
#define BERTH_CLIENT_H

#include <pthread.h>

#include "berth/berth.h"
#include "callback_pool.h"
#include "control_socket.h"
#include "handle_table.h"
#include "parker.h"
#include "reattach.h"

struct context;

/* What the control thread's epoll tells apart; the rest are workers' pidfds, by the context's handle. */
enum { CLIENT_TAG_SOCKET, CLIENT_TAG_WAKE, CLIENT_TAG_REATTACH, CLIENT_TAG_ALARM };

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

struct client {
    uint64_t handle;
    int socket;
    int epoll;
    int wake; /* eventfd: the control thread is to look at `stopping` and at its contexts */
    int alarm; /* timerfd: the same, at a time */
    pthread_mutex_t alarm_lock;
    uint64_t alarm_due_ns; /* 0: not set */
    int supervisor_pidfd; /* of a private supervisor, else -1 */
    pthread_t control_thread;

    pthread_mutex_t send_lock;   /* one packet at a time on the socket */
    pthread_mutex_t status_lock; /* one status at a time, as the supervisor has it */
    pthread_mutex_t lock;      /* the rest */
    pthread_cond_t changed;    /* contexts or finished threads changed */
    struct context *contexts;
    uint32_t context_count;
    struct control_waiter *waiters;
    uint64_t next_seq;
    uint64_t just_closed, just_closed_on; /* a quick close that the supervisor was not told of; its connection, 0: none */
    uint32_t disconnected; /* the supervisor is gone */
    uint64_t connection;   /* counts the supervisors that this client has had; changes under send_lock and lock */
    struct reattach reattach;
    uint32_t stopping;
    struct callback_pool callback_pool;
};

extern struct handle_table berth_clients;

struct client *client_acquire(berth_client handle);
void client_release(struct client *client);

/* Sends one message; bounded. 0 or a negative errno. */
int client_send(struct client *client, const struct berth_control_message *message, const int *fds, uint32_t count);

/* The same, if the connection is still that one; else -ESTALE. */
int client_send_on(struct client *client, uint64_t connection, const struct berth_control_message *message,
                   const int *fds, uint32_t count);
void client_send_closing(struct client *client, uint64_t connection, uint64_t context, uint32_t timeout_ms);
void client_hello(struct berth_control_message *message);

/* Makes the control thread look at its contexts. */
void client_kick(struct client *client);
/* The same at `due_ns`: what is over by then has cost a system call and no wakeup. */
void client_kick_at(struct client *client, uint64_t due_ns);
/* The alarm was seen; before a look at what is due. */
void client_alarm_clear(struct client *client);

/* The control thread's body (control_thread.c). */
void *control_thread_run(void *client);
/* Asks the supervisor, and waits for its answer: the body that comes with it, CBOR null when none does, or why not. The
 * message lacks nothing but its seq. */
int control_thread_ask(struct client *client, struct berth_control_message *message, struct berth_reply *reply);

/* 1 when the calling thread is one of berth's own for this client: it must not wait for the others. */
int client_is_own_thread(void);
void client_mark_own_thread(void);

#endif
