/* The two threads that run a host's callbacks: one for answers, one for events, each of the client's pool and taken
 * when first needed. */
#include <stdlib.h>

#include "context.h"
#include "kill_point.h"
#include "step_aside.h"

#define EVENTS_IN_A_ROW 64 /* before notices have their turn */

static __thread struct berth_step_aside aside; /* of a thread of ours: the host's own are not moved */
static __thread const struct context *events_of; /* the context whose event thread this is */

static int callbacks_due(const struct context *context) {
    return __atomic_load_n(&context->for_callbacks.count, __ATOMIC_ACQUIRE) != 0;
}

static int run_callbacks(struct context *context) {
    int ran = 0;
    for (struct completion *completion; (completion = completion_pop(context, &context->for_callbacks)); ran++) {
        BERTH_KILL_POINT("host.before_callback");
        completion->callback(completion->ret, completion->data, completion->len, completion->user_data);
        BERTH_KILL_POINT("host.after_callback");
        free(completion);
    }
    return ran;
}

static int owed(const struct context *context) {
    return __atomic_load_n(&context->callbacks_owed, __ATOMIC_SEQ_CST) != 0 &&
           !__atomic_load_n(&context->settled, __ATOMIC_ACQUIRE);
}

static int stopped(const struct context *context) {
    return __atomic_load_n(&context->threads_stop, __ATOMIC_SEQ_CST) != 0;
}

static void lead_for_callbacks(struct context *context) {
    for (;;) {
        uint32_t poke = context_poke_seen(context);
        context_drain(context, NULL, NULL, 64);
        if (callbacks_due(context) || !owed(context) || stopped(context) ||
            __atomic_load_n(&context->failed, __ATOMIC_ACQUIRE))
            break;
        int spun = context_wait_reply(context, poke, 0);
        berth_step_aside_after(&aside, &context->spin, spun);
    }
    baton_give(context);
}

static void wait_for_baton(struct context *context) {
    struct baton_waiter waiter = {&context->reply_parker, NULL, NULL};
    waiter_link(context, &waiter);
    if (!callbacks_due(context) && !stopped(context) && __atomic_load_n(&context->baton, __ATOMIC_SEQ_CST))
        parker_park(&context->reply_parker, 0);
    waiter_unlink(context, &waiter);
    if (callbacks_due(context))
        baton_pass_on(context);
}

static void wait_for_work(struct context *context) {
    struct berth_spin *spin = &context->reply_spin;
    struct berth_spin_turn turn;
    berth_spin_begin(spin, &turn);
    while (spin->allowed && berth_spin_again(spin, &turn))
        if (owed(context) || callbacks_due(context))
            break;
    while (!owed(context) && !callbacks_due(context) && !stopped(context))
        parker_park(&context->reply_parker, 0);
    berth_spin_learn(spin, berth_now_ns() - turn.started);
}

/* The control thread may free the context from here on. */
static void gone(struct context *context) {
    struct client *client = context->client;
    __atomic_fetch_add(&context->threads_gone, 1, __ATOMIC_SEQ_CST);
    client_kick(client);
}

static void reply_thread_run(struct context *context) {
    for (;;) {
        int stop = stopped(context); /* before the look at the queue: what was queued ahead of the stop still runs */
        if (run_callbacks(context))
            continue;
        if (stop)
            break;
        if (!owed(context))
            wait_for_work(context);
        else if (baton_take(context))
            lead_for_callbacks(context);
        else
            wait_for_baton(context);
    }
    gone(context);
}

/* Events of a context that is over have no listener to go to. */
static int events_over(const struct context *context) {
    return stopped(context) || __atomic_load_n(&context->failed, __ATOMIC_ACQUIRE);
}

static void wait_for_event(struct context *context, struct berth_spin *spin, uint32_t poke) {
    struct berth_ring_consumer *ring = &context->event_ring;
    uint64_t started;
    if (berth_ring_spin(ring, spin, &context->event_poke, poke, 0, &started))
        return;
    if (berth_ring_prepare_wait(ring, BERTH_ASLEEP_FUTEX)) {
        if (__atomic_load_n(&context->event_poke, __ATOMIC_SEQ_CST) == poke)
            berth_ring_sleep(ring, 0);
        berth_ring_finish_wait(ring);
    }
    if (started)
        berth_spin_learn(spin, berth_now_ns() - started);
}

static void event_thread_run(struct context *context) {
    struct berth_spin spin;
    events_of = context;
    berth_spin_init(&spin);
    /* berth_reap may have been the consumer until now; once it sees the flag it no longer is. */
    while (!__atomic_load_n(&context->event_thread_started, __ATOMIC_ACQUIRE))
        sched_yield();
    while (!stopped(context)) {
        uint32_t poke = __atomic_load_n(&context->event_poke, __ATOMIC_SEQ_CST);
        int took = 0;
        while (took < EVENTS_IN_A_ROW && !stopped(context) && context_take_event(context, NULL) > 0)
            took++;
        if (context_run_notices(context) || took)
            continue;
        if (events_over(context)) {
            berth_futex_wait(&context->event_poke, poke, 0);
            continue;
        }
        pthread_mutex_lock(&context->event_lock);
        wait_for_event(context, &spin, poke);
        pthread_mutex_unlock(&context->event_lock);
    }
    events_of = NULL;
    gone(context);
}

int event_thread_is_current(const struct context *context) { return events_of == context; }

static int need(struct context *context, uint32_t *started, void (*body)(struct context *)) {
    int rc = 0;
    if (__atomic_load_n(started, __ATOMIC_ACQUIRE))
        return 0;
    pthread_mutex_lock(&context->threads_lock);
    if (__atomic_load_n(&context->threads_stop, __ATOMIC_SEQ_CST))
        rc = -ESRCH;
    else if (!*started) {
        rc = callback_pool_run(&context->client->callback_pool, body, context);
        if (rc == 0)
            __atomic_store_n(started, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&context->threads_lock);
    return rc;
}

int reply_thread_need(struct context *context) {
    return need(context, &context->reply_thread_started, reply_thread_run);
}

int event_thread_need(struct context *context) {
    return need(context, &context->event_thread_started, event_thread_run);
}

void event_thread_wake(struct context *context) {
    __atomic_fetch_add(&context->event_poke, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&context->event_thread_started, __ATOMIC_ACQUIRE))
        return;
    berth_futex_wake(&context->event_poke, 1);
    berth_ring_kick(context->event_ring.control);
}

static uint32_t started(const struct context *context) {
    return __atomic_load_n(&context->reply_thread_started, __ATOMIC_SEQ_CST) +
           __atomic_load_n(&context->event_thread_started, __ATOMIC_SEQ_CST);
}

void context_stop_threads(struct context *context) {
    __atomic_store_n(&context->threads_stop, 1, __ATOMIC_SEQ_CST);
    parker_unpark(&context->reply_parker);
    context_poke(context);
    event_thread_wake(context);
    if (!started(context)) /* else they do, when they are gone */
        client_kick(context->client);
}

int context_threads_gone(struct context *context) {
    pthread_mutex_lock(&context->threads_lock);
    int all = __atomic_load_n(&context->threads_gone, __ATOMIC_SEQ_CST) == started(context);
    pthread_mutex_unlock(&context->threads_lock);
    return all;
}
