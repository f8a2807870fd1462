#include "connection/reclaim.h"

#include <errno.h>

#include "channel/urgent.h"
#include "connection/asks.h"
#include "connection/closings.h"
#include "kill_point.h"

#define CLAIMS_AT_ONCE 128u /* so that the answers find room in the socket */
#define CLAIM_TRIES 8u
#define CLAIM_AGAIN_NS 1000000000u

int reclaim_withdraw(struct context *context, uint64_t now) {
    struct seat *seat = &context->seat;
    if (!channel_withdraw(&context->channel, seat->attempt)) {
        context_leave_worker(context);
        return 0;
    }
    __atomic_store_n(&seat->attempt, seat->attempt + 1, __ATOMIC_RELAXED);
    BERTH_KILL_POINT("host.open_withdrawn");
    if (!context->client->service.path || !lease_serves(&context->lease) || seat->segment_fd < 0)
        return 0;
    bound_set(&context->lease.bounds, BOUND_SUPERVISOR, now + SUPERVISOR_WAIT_NS);
    due_arm(&context->due, now + SUPERVISOR_WAIT_NS);
    return 1;
}

/* --- contexts that were being opened ------------------------------------------------------------------------------ */

static int to_ask(const struct client *client, const struct context *context) {
    const struct seat *seat = &context->seat;
    return seat->open_seq && (seat->asked_on != client->connection || seat->ask_due) &&
           !lease_has(&context->lease, LEASE_HAS_WORKER) && !verdict_is_given(&context->channel.verdict);
}

void reclaim_asks(struct client *client) {
    __atomic_store_n(&client->reattach.asking, 0, __ATOMIC_SEQ_CST);
    for (int room = 1; room;) {
        pthread_mutex_lock(&client->lock);
        struct context *context = client->contexts;
        while (context && !to_ask(client, context))
            context = context->seat.next;
        if (context) {
            context_retain(context);
            context->seat.asked_on = client->connection;
            context->seat.ask_due = 0;
        }
        pthread_mutex_unlock(&client->lock);
        if (!context)
            return;
        bound_lift(&context->lease.bounds, BOUND_SUPERVISOR);
        room = asks_now(context, client->connection, 0, context->seat.segment_fd) != -EAGAIN;
        BERTH_KILL_POINT("host.open_sent_again");
        context_release(context);
    }
}

/* --- contexts that are open --------------------------------------------------------------------------------------- */

static int to_claim(const struct client *client, const struct context *context) {
    return lease_has(&context->lease, LEASE_HAS_WORKER) && context->seat.known_on != client->connection &&
           context->seat.claim != CLAIM_OVER && !bound_at(&context->lease.bounds, BOUND_DEATH) &&
           !verdict_is_given(&context->channel.verdict);
}

static int send_claim(struct client *client, struct context *context) {
    struct berth_control_message message;
    berth_control_init(&message, BERTH_MSG_REJOIN);
    berth_control_set_uint(&message, BERTH_KEY_SEQ, context->seat.open_seq);
    berth_control_set_uint(&message, BERTH_KEY_CONTEXT, context->seat.id);
    berth_control_set_bytes(&message, BERTH_KEY_TOKEN, context->seat.token, sizeof context->seat.token);
    return client_send_on(client, client->connection, &message, NULL, 0);
}

/* The next context whose claim is due, with a reference; counts those under way, and says when the next will be due. */
static struct context *next_claim(struct client *client, uint64_t now, uint32_t *under_way, uint64_t *due) {
    struct context *found = NULL;
    *under_way = 0;
    *due = 0;
    for (struct context *context = client->contexts; context; context = context->seat.next) {
        if (context->seat.claim_on != client->connection) { /* of an earlier connection */
            context->seat.claim = CLAIM_DUE;
            context->seat.claim_tries = 0;
            context->seat.claim_due_ns = 0;
            context->seat.claim_on = client->connection;
        }
        if (!to_claim(client, context))
            continue;
        if (context->seat.claim == CLAIM_SENT)
            ++*under_way;
        else if (context->seat.claim_due_ns <= now)
            found = found ? found : context;
        else if (!*due || context->seat.claim_due_ns < *due)
            *due = context->seat.claim_due_ns;
    }
    return found;
}

uint64_t reclaim_contexts(struct client *client, uint64_t now) {
    for (;;) {
        uint32_t under_way;
        uint64_t due;
        pthread_mutex_lock(&client->lock);
        struct context *context = next_claim(client, now, &under_way, &due);
        if (!context || under_way >= CLAIMS_AT_ONCE) {
            if (!context && !under_way && !due)
                client->reattach.claiming = 0;
            pthread_mutex_unlock(&client->lock);
            return due;
        }
        context_retain(context);
        context->seat.claim = CLAIM_SENT;
        context->seat.open_seq = ++client->next_seq;
        pthread_mutex_unlock(&client->lock);
        if (send_claim(client, context) == -EAGAIN) {
            context->seat.claim = CLAIM_DUE;
            context->seat.claim_due_ns = now + CLIENT_SEND_AGAIN_NS;
        }
        BERTH_KILL_POINT("host.rejoin_sent");
        context_release(context);
    }
}

void reclaim_granted(struct client *client, struct context *context, const struct berth_control_message *message) {
    uint64_t id = message->fields[BERTH_KEY_CONTEXT].number;
    if (!context) {
        /* It ended here while the claim was under way: the supervisor is to see to its worker. */
        closings_say(client, client->connection, id, 0);
        return;
    }
    if (context->seat.claim != CLAIM_SENT)
        return;
    context->seat.claim = CLAIM_OVER;
    pthread_mutex_lock(&context->channel.submit_lock); /* a close may read them at any time */
    context->seat.id = id;
    context->seat.known_on = client->connection;
    pthread_mutex_unlock(&context->channel.submit_lock);
    BERTH_KILL_POINT("host.rejoined");
    if (!lease_serves(&context->lease))
        context->home->say_closing(context);
}

/* Its worker may still be on its way. Anything else than that is final: the context goes on by itself. */
void reclaim_refused(struct client *client, struct context *context, const struct berth_control_message *message) {
    uint64_t ret = message->fields[BERTH_KEY_RET].number;
    int again = (ret == BERTH_RET_UNAVAILABLE || ret == BERTH_RET_BUSY) && ++context->seat.claim_tries < CLAIM_TRIES;
    if (context->seat.claim != CLAIM_SENT)
        return;
    context->seat.claim = again ? CLAIM_DUE : CLAIM_OVER;
    context->seat.claim_due_ns = berth_now_ns() + CLAIM_AGAIN_NS * context->seat.claim_tries;
    client->reattach.claiming = 1;
}
