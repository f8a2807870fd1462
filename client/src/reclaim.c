#include "reattach.h"

#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "context.h"
#include "kill_point.h"
#include "raw_io.h"

#define CLAIMS_AT_ONCE 128u /* so that the answers find room in the socket */
#define CLAIM_TRIES 8u
#define CLAIM_AGAIN_NS 1000000000u

static const char gone[] = "the supervisor is gone";

int reclaim_withdraw(struct context *context, uint64_t now) {
    uint32_t before = context->attempt << 1, after = (context->attempt + 1) << 1;
    if (!__atomic_compare_exchange_n(&context->segment.header->lease_claim, &before, after, 0, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        context_leave_worker(context);
        return 0;
    }
    __atomic_store_n(&context->attempt, context->attempt + 1, __ATOMIC_RELAXED);
    BERTH_KILL_POINT("host.open_withdrawn");
    if (!context->client->reattach.path || context_state(context) == CONTEXT_RECYCLE_PENDING || context->segment_fd < 0)
        return 0;
    __atomic_store_n(&context->supervisor_bound_ns, now + SUPERVISOR_WAIT_NS, __ATOMIC_SEQ_CST);
    context_arm_tick(context, now + SUPERVISOR_WAIT_NS);
    return 1;
}

uint64_t reclaim_bound(struct context *context, uint64_t now) {
    uint64_t bound = __atomic_load_n(&context->supervisor_bound_ns, __ATOMIC_SEQ_CST);
    if (!bound || context_is_opened(context) || !__atomic_load_n(&context->client->disconnected, __ATOMIC_ACQUIRE))
        return 0;
    if (now < bound)
        return bound;
    context_leave_worker(context);
    context_fail_now(context, BERTH_RET_UNAVAILABLE, gone, sizeof gone - 1);
    return 0;
}

/* --- contexts that were being opened ------------------------------------------------------------------------------ */

static int to_ask(const struct client *client, const struct context *context) {
    return !context_is_opened(context) && context->asked_on != client->connection &&
           !__atomic_load_n(&context->failed, __ATOMIC_ACQUIRE);
}

void reclaim_asks(struct client *client) {
    for (;;) {
        pthread_mutex_lock(&client->lock);
        struct context *context = client->contexts;
        while (context && !to_ask(client, context))
            context = context->next;
        if (context) {
            handle_retain(&berth_contexts, context->handle);
            context->asked_on = client->connection;
        }
        pthread_mutex_unlock(&client->lock);
        if (!context)
            return;
        __atomic_store_n(&context->supervisor_bound_ns, 0, __ATOMIC_SEQ_CST);
        context_ask(context, client->connection, context->segment_fd);
        BERTH_KILL_POINT("host.open_sent_again");
        context_release(context);
    }
}

/* --- contexts that are open --------------------------------------------------------------------------------------- */

static int to_claim(const struct client *client, const struct context *context) {
    return context_is_opened(context) && context->known_on != client->connection && context->claim != CLAIM_OVER &&
           !context->died_ns && !__atomic_load_n(&context->failed, __ATOMIC_ACQUIRE);
}

static void send_claim(struct client *client, struct context *context) {
    struct berth_control_message message;
    berth_control_init(&message, BERTH_MSG_REJOIN);
    berth_control_set_uint(&message, BERTH_KEY_SEQ, context->open_seq);
    berth_control_set_uint(&message, BERTH_KEY_CONTEXT, context->id);
    berth_control_set_bytes(&message, BERTH_KEY_TOKEN, context->token, sizeof context->token);
    client_send_on(client, client->connection, &message, NULL, 0);
}

/* The next context whose claim is due, with a reference; counts those under way, and says when the next will be due. */
static struct context *next_claim(struct client *client, uint64_t now, uint32_t *under_way, uint64_t *due) {
    struct context *found = NULL;
    *under_way = 0;
    *due = 0;
    for (struct context *context = client->contexts; context; context = context->next) {
        if (context->claim_on != client->connection) { /* of an earlier connection */
            context->claim = CLAIM_DUE;
            context->claim_tries = 0;
            context->claim_due_ns = 0;
            context->claim_on = client->connection;
        }
        if (!to_claim(client, context))
            continue;
        if (context->claim == CLAIM_SENT)
            ++*under_way;
        else if (context->claim_due_ns <= now)
            found = found ? found : context;
        else if (!*due || context->claim_due_ns < *due)
            *due = context->claim_due_ns;
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
        handle_retain(&berth_contexts, context->handle);
        context->claim = CLAIM_SENT;
        context->open_seq = ++client->next_seq;
        pthread_mutex_unlock(&client->lock);
        send_claim(client, context);
        BERTH_KILL_POINT("host.rejoin_sent");
        context_release(context);
    }
}

void reclaim_granted(struct client *client, struct context *context, const struct berth_control_message *message) {
    uint64_t id = message->fields[BERTH_KEY_CONTEXT].number;
    if (!context) {
        /* It ended here while the claim was under way: the supervisor is to see to its worker. */
        client_send_closing(client, client->connection, id, 0);
        return;
    }
    if (context->claim != CLAIM_SENT)
        return;
    context->claim = CLAIM_OVER;
    pthread_mutex_lock(&context->submit_lock); /* a close may read them at any time */
    context->id = id;
    context->known_on = client->connection;
    pthread_mutex_unlock(&context->submit_lock);
    BERTH_KILL_POINT("host.rejoined");
    if (context_state(context) != CONTEXT_ACTIVE && context_state(context) != CONTEXT_OPENING)
        context_send_closing(context);
}

/* Its worker may still be on its way. Anything else than that is final: the context goes on by itself. */
void reclaim_refused(struct client *client, struct context *context, const struct berth_control_message *message) {
    uint64_t ret = message->fields[BERTH_KEY_RET].number;
    int again = (ret == BERTH_RET_UNAVAILABLE || ret == BERTH_RET_BUSY) && ++context->claim_tries < CLAIM_TRIES;
    if (context->claim != CLAIM_SENT)
        return;
    context->claim = again ? CLAIM_DUE : CLAIM_OVER;
    context->claim_due_ns = berth_now_ns() + CLAIM_AGAIN_NS * context->claim_tries;
    client->reattach.claiming = 1;
}
