/* The way back to a service whose supervisor was lost.
 *
 * reattach.c has the connection: tries to connect while somebody needs a supervisor, greets, and puts the new socket in
 * the old one's place. reclaim.c has the contexts: those that were being opened ask again, those that are open claim
 * their place with the new supervisor. All on the control thread but for what is said to be otherwise; who waits for a
 * supervisor does so by supervisor_wait.h. */
#ifndef BERTH_REATTACH_H
#define BERTH_REATTACH_H

#include <stdint.h>

struct client;
struct control_packet;

struct reattach {
    int socket;        /* connected, its welcome still to come; else -1 */
    uint64_t due_ns;   /* the next try; 0: none is planned */
    uint32_t failures; /* tries in a row that came to nothing */
    uint32_t wanted;   /* threads that wait for a supervisor; atomic, as is due_ns */
    uint32_t claiming; /* contexts have claims to make, or to make again */
    uint32_t asking;   /* a question found no room in the socket; atomic */
};

/* The connection is gone: plans the first try. */
void reattach_lost(struct client *client);
/* Does what is due; returns when it wants to be called again, 0: when something happens. */
uint64_t reattach_tick(struct client *client, uint64_t now);
/* The new socket has something. */
void reattach_readable(struct client *client, struct control_packet *packet);
#endif
