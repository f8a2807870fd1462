#include "delivery/reply_thread.h"

#include <stdlib.h>

#include "channel/baton.h"
#include "channel/data.h"
#include "channel/drain.h"
#include "channel/settle.h"
#include "channel/wait.h"
#include "delivery/callback_threads.h"
#include "kill_point.h"
#include "step_aside.h"

#define STUFFED_NS 10000000u

static __thread struct berth_step_aside aside; /* of a thread of ours: the host's own are not moved */

static int callbacks_due(const struct channel *channel) {
    return completion_count(&channel->outbox.for_callbacks) != 0;
}

static int run_callbacks(struct channel *channel) {
    int ran = 0;
    if (callbacks_due(channel))
        baton_pass_on(channel); /* it may be us who were called, and host code takes what it takes */
    for (struct completion *next;
         (next = outbox_take(&channel->outbox, &channel->slots, &channel->outbox.for_callbacks)); ran++) {
        BERTH_KILL_POINT("host.before_callback");
        next->callback(next->ret, next->data, next->len, next->user_data);
        BERTH_KILL_POINT("host.after_callback");
        if (next->kind == BERTH_DATA)
            channel_credit(channel, next->id, next->len);
        free(next);
    }
    return ran;
}

static int owed(const struct channel *channel) {
    return outbox_owes(&channel->outbox) && !verdict_is_settled(&channel->verdict);
}

/* Nobody tells of room in the outbox: it is full only where somebody has left a lot unread. */
static void let_reap_catch_up(struct channel *channel) {
    channel_leave(channel);
    parker_park(&channel->outbox.reader, berth_now_ns() + STUFFED_NS);
}

static void lead(struct delivery *delivery) {
    struct channel *channel = delivery->channel;
    for (;;) {
        uint32_t poke = channel_poke_seen(channel);
        int taken = channel_drain(channel, NULL, NULL, DRAIN_BATCH);
        if (callbacks_due(channel) || !owed(channel) || callback_threads_are_stopped(delivery) ||
            verdict_is_given(&channel->verdict))
            break;
        if (taken == DRAIN_BATCH)
            continue;
        if (channel->stuffed)
            return let_reap_catch_up(channel);
        int spun = channel_await_frame(channel, poke, 0);
        berth_step_aside_after(&aside, &channel->spin, spun);
    }
    channel_leave(channel);
}

static void wait_for_baton(struct delivery *delivery) {
    struct channel *channel = delivery->channel;
    struct baton_waiter waiter = {&channel->outbox.reader, NULL, NULL};
    baton_link(channel, &waiter);
    if (!callbacks_due(channel) && !callback_threads_are_stopped(delivery) && !baton_is_free(channel))
        parker_park(&channel->outbox.reader, 0);
    baton_unlink(channel, &waiter);
    if (callbacks_due(channel))
        baton_pass_on(channel);
}

static void wait_for_work(struct delivery *delivery) {
    struct channel *channel = delivery->channel;
    struct berth_spin *spin = &delivery->threads.reply_spin;
    struct berth_spin_turn turn;
    baton_pass_on(channel); /* it may be us who were called */
    berth_spin_begin(spin, &turn);
    while (spin->allowed && berth_spin_again(spin, &turn))
        if (owed(channel) || callbacks_due(channel))
            break;
    while (!owed(channel) && !callbacks_due(channel) && !callback_threads_are_stopped(delivery))
        parker_park(&channel->outbox.reader, 0);
    berth_spin_learn(spin, berth_now_ns() - turn.started);
}

static void run(void *argument) {
    struct delivery *delivery = argument;
    for (;;) {
        /* Before the look at the queue: what was queued ahead of the stop still runs. */
        int stop = callback_threads_are_stopped(delivery);
        if (run_callbacks(delivery->channel))
            continue;
        if (stop)
            break;
        if (!owed(delivery->channel))
            wait_for_work(delivery);
        else if (baton_take(delivery->channel))
            lead(delivery);
        else
            wait_for_baton(delivery);
    }
    callback_threads_gone(delivery);
}

int reply_thread_need(struct delivery *delivery) {
    return callback_threads_need(delivery, &delivery->threads.reply_started, run);
}
