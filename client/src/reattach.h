/* The way back to a service whose supervisor was lost.
 *
 * reattach.c has the connection: tries to connect while somebody needs a supervisor, greets, and puts the new socket in
 * the old one's place. reclaim.c has the contexts: those that were being opened ask again, those that are open claim
 * their place with the new supervisor. All on the control thread but for what is said to be otherwise. */
#ifndef BERTH_REATTACH_H
#define BERTH_REATTACH_H

#include <stdint.h>


struct client;
struct context;
struct control_packet;
struct berth_control_message;

struct reattach {
    char *path;         /* of the service's socket; NULL: a private supervisor, from which there is no way back */
    uint32_t uid;       /* who listened there first: besides root the only one that is believed later */
    int socket;         /* connected, its welcome still to come; else -1 */
    uint64_t due_ns;    /* the next try; 0: none is planned */
    uint32_t failures;  /* tries in a row that came to nothing */
    uint32_t wanted;    /* threads that wait for a supervisor; under client->lock */
    uint32_t claiming;  /* contexts have claims to make, or to make again */
};

/* `path` is copied, and `socket` connected to it; path NULL: private. 0 or -errno. Any thread, before the control thread. */
int reattach_init(struct client *client, const char *path, int socket);
void reattach_free(struct client *client);
/* The connection is gone: plans the first try. */
void reattach_lost(struct client *client);
/* Does what is due; returns when it wants to be called again, 0: when something happens. */
uint64_t reattach_tick(struct client *client, uint64_t now);
/* The new socket has something. */
void reattach_readable(struct client *client, struct control_packet *packet);
/* Any thread: has the control thread try at once. */
void reattach_now(struct client *client);
/* Any thread but the control thread: waits for a supervisor. 1: there is one. */
int reattach_wait(struct client *client, uint32_t ms);

/* reclaim.c */
/* The supervisor is gone, and did not say whether this context has a worker. 1: it has none, the old supervisor can give
 * it none any more, and the next one will be asked. 0: there is no hope for it; a worker that took it is told to end. */
int reclaim_withdraw(struct context *context, uint64_t now);
/* Asks for a worker, unless that was done on this connection. */
void reclaim_ask(struct context *context);
/* Makes claims for open contexts, some at a time; returns when to be called again, 0: when an answer comes. */
uint64_t reclaim_contexts(struct client *client, uint64_t now);
void reclaim_asks(struct client *client);
/* The supervisor's answers to claims. */
void reclaim_granted(struct client *client, struct context *context, const struct berth_control_message *message);
void reclaim_refused(struct client *client, struct context *context, const struct berth_control_message *message);
/* Fails a context that has waited long enough for a supervisor; returns when that will be, 0: it does not wait. */
uint64_t reclaim_bound(struct context *context, uint64_t now);

#endif
