/* A context: a channel, a delivery and a lease, put together. What the lower storeys have to say to each other goes
 * through here (news.c), and what it needs of the connection it was opened through is a table given by that. */
#ifndef BERTH_CONTEXT_H
#define BERTH_CONTEXT_H

#include "base/alarm.h"
#include "base/handle_table.h"
#include "channel/channel.h"
#include "context/seat.h"
#include "delivery/delivery.h"
#include "lease/lease.h"

struct client;

struct context_home {
    void (*ask_for_worker)(struct context *context); /* now, or as soon as there is a supervisor */
    void (*say_closing)(struct context *context);    /* to the supervisor, if it knows of the lease: it ends */
    /* The lease ended without a word to the supervisor: the next open brings it. With submit_lock. */
    void (*say_later)(struct context *context);
    void (*unwatch_worker)(struct context *context);
    void (*read_for)(struct context *context); /* as the reader of last resort. Control thread */
    void (*worker_died)(struct context *context);
    int (*has_no_supervisor)(struct context *context);
    void (*release)(struct client *client); /* a context's reference */
};

struct context {
    uint64_t handle;
    struct client *client; /* kept alive by a reference of the context's */
    const struct context_home *home;
    uint32_t stale_warn_ms; /* UINT32_MAX: never */
    struct due due;         /* when the control thread is to look at it */
    struct channel channel;
    struct delivery delivery;
    struct lease lease;
    struct seat seat;
};

extern struct handle_table berth_contexts;

/* A context with a segment of its own, and one reference; the client's reference it takes over. 0, or -errno and
 * *out NULL: the reference is the caller's still. */
int context_new(struct client *client, const struct context_home *home, struct alarm *alarm, struct callback_pool *pool,
                struct channel_spare *spare, const struct berth_open_options *options, struct context **out);
struct context *context_acquire(berth_context handle, int *why);
void context_retain(struct context *context);
void context_release(struct context *context);
/* Ends the handle of a closed context, and lets the control thread free it once it is quiet. */
void context_over(struct context *context);
/* It is over, and nobody is at work in it: the list's reference may go. */
int context_is_quiet(struct context *context);

/* Ends it with a verdict (lease_end), and sees to it that somebody answers what is pending. Any thread without the
 * baton. */
void context_end(struct context *context, uint32_t ret, const void *data, size_t len);
void context_end_text(struct context *context, uint32_t ret, const char *text);

/* news.c */
extern const struct channel_owner context_news;
/* With submit_lock: queues what the callback of a close is told, if there is one. */
void context_answer_close(struct context *context);

/* Reads, for nobody in particular, what the worker has sent, a bounded number of frames. Any thread without the baton.
 * 0: another has the baton, and what there is to read. */
int context_read(struct context *context);
/* The same of a worker that has died, all that there is. */
int context_read_last(struct context *context);

/* close.c */
/* Nobody waits for the open any more: a worker that has it, or gets it later, is to end it. */
void context_leave_worker(struct context *context);
/* A context that its worker did not end by dying: the supervisor is to see to the worker. Says so once. */
void context_leave_live_worker(struct context *context);
/* Starts a close, and asks the library thread for it. 0, or the berth_ret that refuses. */
int context_begin_close(struct context *context, berth_callback done, void *user_data);
/* For one that nobody waits for, or that is not over at once: has worker, supervisor and tick keep its bounds. */
void context_announce_close(struct context *context);
/* Until it is over. A library with nothing left to do ends its context within microseconds, and then nobody else is
 * woken for it. */
void context_wait_closed(struct context *context);
/* Nobody waits for it: the control thread reads its end. */
void context_close_unattended(struct context *context);
/* Begins it and waits. `at_once`: the library is late already; the worker ends by its own bounds and nobody waits for
 * it. */
void context_close_quietly(struct context *context, int at_once);

/* restart.c */
/* Control thread. Opens anew what is paused; comes again by itself where somebody stands in the way. */
void context_restart(struct context *context);

/* tick.c. Work that is due; returns the next due time, 0 for none. Control thread. */
uint64_t context_tick(struct context *context, uint64_t now);
/* One whose deadline has passed: UNAVAILABLE while there is no supervisor, else TIMEOUT, whoever sees it first. */
void context_open_is_late(struct context *context);

/* The worker's answer to the open may overtake the supervisor's, which has the methods: waits for that, within the
 * bounds of an open. 0: it will not come. */
int context_wait_opened(struct context *context);

/* Text for a refusal by channel_submit. */
const char *context_refusal_text(int ret);
/* Its verdict, unless there is none, or a restart has taken it back: 0. */
int context_tell_verdict(struct context *context, struct berth_reply *reply);
/* A refusal by channel_submit: a lost context's verdict says more than any text for its code. */
void context_refuse(struct context *context, int ret, struct berth_reply *reply);

#endif
