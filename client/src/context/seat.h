/* What a connection notes of a context that was opened through it: how it asked for a worker, and how its supervisor
 * knows it. The connection's; a context only carries it. Under the client's lock where nothing else is said. */
#ifndef BERTH_SEAT_H
#define BERTH_SEAT_H

#include "control.h"

struct context;

struct seat {
    struct context *next;
    uint64_t open_seq; /* of the last open or rejoin */
    uint64_t asked_on; /* the connection on which a worker was asked for */
    uint32_t ask_due;  /* it was not: there was no room for the question */
    char *module;      /* never changes */
    int segment_fd;    /* until opened: for asking again. Control thread, once it is asked for */
    uint32_t attempt;  /* how often an open was withdrawn from a supervisor that died; atomic */

    uint64_t id;              /* the supervisor's, 0 until opened. Under submit_lock, as the next two */
    uint64_t known_on;        /* the connection whose supervisor knows it, by `id` */
    uint64_t closing_said_on; /* the connection on which `closing` was sent */

    uint8_t token[BERTH_TOKEN_SIZE]; /* control thread */
    /* Its claim to a place with the present supervisor. Control thread. */
    enum { CLAIM_DUE, CLAIM_SENT, CLAIM_OVER } claim;
    uint32_t claim_tries;
    uint64_t claim_on, claim_due_ns;

    uint32_t *methods; /* written before the fact LEASE_HAS_WORKER shows, then never */
    size_t method_count;
    uint32_t disconnecting; /* berth_disconnect has had it */
};

#endif
