/* A context as its host sees it, and the engine that brings its answers home.
 *
 * Submission: any thread writes a frame under submit_lock (submit.c). Completion: the reply ring has one consumer at a
 * time, whoever holds the baton (drain.c): a blocked caller, the reply thread, or berth_reap. It answers its own
 * request where it stands, copies other callers' answers to them, and queues the rest as completions for the reply
 * thread or for berth_reap.
 *
 * context_fsm.h has the states. A verdict (fail_ret) ends a context: what is pending is answered with it, once, by
 * whoever has the baton; then the context is settled.
 */
#ifndef BERTH_CONTEXT_H
#define BERTH_CONTEXT_H

#include <pthread.h>

#include "berth/berth.h"
#include "client.h"
#include "context_fsm.h"
#include "handle_table.h"
#include "liveness.h"
#include "parker.h"
#include "ring_spin.h"
#include "segment.h"

enum request_state {
    REQUEST_FREE,
    REQUEST_PENDING,    /* the worker owes an answer, and so do we */
    REQUEST_COMPLETING, /* the answer is being copied to a blocked caller */
    REQUEST_DONE,       /* answered; a blocked caller has yet to take it */
    REQUEST_ABANDONED   /* answered here (deadline, cancel); the worker's answer is still to come */
};

enum request_kind { REQUEST_BLOCKING, REQUEST_CALLBACK, REQUEST_POLL, REQUEST_INTERNAL /* a restart's create */ };

struct request {
    uint64_t id; /* generation << 32 | slot */
    uint32_t state;
    uint32_t kind;
    struct parker parker; /* the blocked caller's */
    struct berth_reply *reply;
    berth_callback callback;
    void *user_data;
    uint64_t submitted_ns;
    uint64_t next_ping_ns;
    uint32_t next_free; /* slot + 1 */
};

/* One answer, event or notice on its way to a callback or to berth_reap. */
struct completion {
    struct completion *next;
    uint64_t id;
    uint32_t kind; /* BERTH_REPLY … */
    int32_t ret;
    berth_callback callback; /* NULL: for berth_reap */
    void *user_data;
    size_t len;
    uint8_t data[];
};

struct completion_queue {
    struct completion *first, *last;
    uint32_t count;
};

/* Where berth_reap gathers: payloads are copied to the context's arena, which lives until the next berth_reap. While
 * gathering, `data` of a completion is an offset into the arena (it may move). */
struct reap_sink {
    struct berth_completion *out;
    size_t capacity, count;
    size_t arena_used;
    size_t direct_from; /* completions before this one point at queued memory instead */
};

/* A thread that wants the baton and sleeps until it is its turn. */
struct baton_waiter {
    struct parker *parker;
    struct baton_waiter *next, *previous;
};

struct listener {
    uint64_t id;
    berth_callback callback; /* NULL: by berth_reap */
    void *user_data;
    size_t name_len;
    char *name;
    struct listener *next;
};

struct context {
    /* The hot lines first: what a call touches. */
    uint64_t handle;
    struct client *client;
    struct request *requests;
    uint32_t max_in_flight;
    uint32_t state; /* enum context_state; moves under submit_lock */
    pthread_mutex_t submit_lock;
    struct berth_ring_producer request_ring;
    uint64_t submitted; /* requests sent, ever */
    uint32_t slots_begun; /* of `requests`, the first so many; changes under submit_lock */
    uint32_t free_local; /* slots taken from free_shared in one go: slot + 1; under submit_lock */
    uint64_t free_shared; /* slots given back: slot + 1 */
    int doorbell; /* eventfd the worker's control thread polls */

    uint32_t baton; /* 1: somebody consumes the reply ring */
    uint32_t baton_wanted;
    uint32_t poke; /* counts what a baton holder asleep on the ring must come and see */
    uint32_t ring_asleep;
    struct berth_ring_consumer reply_ring;
    struct berth_spin spin;
    uint32_t poll_mode; /* berth_poll_fd was called */
    uint32_t poll_looks; /* the last berth_reap was a look: who polls looks again before it waits */
    uint32_t poll_armed; /* baton holder: the ring's waiting word was left at ASLEEP_FD */
    uint32_t poll_dirty; /* a wakeup was or will be written to poll_fd */
    uint32_t reap_asleep; /* berth_reap sleeps on poll_fd */
    uint32_t event_armed; /* the event ring's waiting word was left at ASLEEP_FD; under event_lock */
    uint32_t failed;    /* a verdict stands in fail_ret: what is pending is answered with it */
    uint32_t settled;   /* … and has been */

    pthread_mutex_t waiters_lock;
    struct baton_waiter *waiters_first, *waiters_last;

    pthread_mutex_t queue_lock;
    struct completion_queue for_callbacks, for_reap, for_events; /* for_events: notices, run by the event thread */
    uint32_t callbacks_owed; /* callback requests pending, an accepted close included */
    struct completion *reaped; /* what the last berth_reap handed out from the queue */
    uint32_t reaping; /* a thread is in berth_reap */
    uint8_t *arena;
    size_t arena_size;

    struct segment segment;
    struct berth_ring_producer urgent_ring; /* under submit_lock */
    int poll_fd;

    /* Set by the control thread, under client->lock. */
    struct context *next;
    uint64_t open_seq; /* of the last open or rejoin */
    uint64_t asked_on; /* the connection on which a worker was asked for; under client->lock */
    uint64_t known_on; /* the connection whose supervisor knows it, by `id` */
    uint64_t closed_before; /* the context whose quick close `open` is to tell of; 0: none */
    uint64_t closing_said_on; /* the connection on which `closing` was sent; under submit_lock */
    char *module;
    uint32_t open_timeout_ms;
    int segment_fd;    /* until opened: for asking again */
    uint32_t attempt;  /* how often an open was withdrawn from a supervisor that died */
    uint64_t supervisor_bound_ns; /* how long the open waits for a supervisor; 0: it does not */
    uint8_t token[BERTH_TOKEN_SIZE];
    /* Its claim to a place with the present supervisor. Control thread. */
    enum { CLAIM_DUE, CLAIM_SENT, CLAIM_OVER } claim;
    uint32_t claim_tries;
    uint64_t claim_on, claim_due_ns;
    uint64_t create_id; /* the request that opens */
    uint32_t created;   /* … and it went well, once */
    uint64_t id;     /* the supervisor's; 0 until opened */
    uint32_t opened; /* OPENED has come, or never will */
    uint32_t worker_pid;
    int worker_pidfd;
    uint64_t died_ns; /* when the pidfd said so, before the supervisor did */
    uint32_t drain_ms, teardown_ms;
    uint32_t *methods;
    size_t method_count;

    uint32_t fail_ret;
    uint8_t *fail_data;
    size_t fail_len;
    uint32_t closed_outcome, cut_off; /* how a close went; requests answered RECYCLED */

    uint32_t stale_warn_ms;
    uint64_t tick_due_ns; /* 0: none */
    uint64_t close_bound_ns;
    uint64_t announce_ns; /* when a close is no longer quick, and is announced; 0: it is, or there is none */
    uint64_t open_bound_ns;
    uint64_t last_large_ns; /* when a request last left the hot window; under submit_lock */
    berth_callback close_done;
    void *close_user_data;
    uint32_t ended; /* the handle is over: the control thread frees the context once it is settled and quiet */
    uint32_t disconnecting; /* berth_disconnect has had it; under the client's lock */

    pthread_mutex_t threads_lock;
    uint32_t reply_thread_started, event_thread_started, threads_stop, threads_gone;
    struct parker reply_parker;
    struct berth_spin reply_spin;

    pthread_mutex_t event_lock; /* event_ring's consumer; the event thread holds it while it sleeps on the ring */
    struct berth_ring_consumer event_ring;
    uint32_t event_poke; /* counts what the event thread must come and see */
    uint64_t events_taken, dropped_told; /* of the segment's events_dropped: what listeners have been told */
    uint32_t stuck_told;
    pthread_mutex_t listen_lock;
    pthread_cond_t listen_idle;
    struct listener *listeners;
    uint64_t next_listener;
    uint64_t running_listener;

    /* Control thread. */
    struct liveness liveness;
    uint32_t liveness_wanted; /* somebody listens for not_responding or responding */

    /* What a restart needs (BERTH_RESTART); config NULL: there is none. */
    uint8_t *config;
    size_t config_len;
    uint32_t restarts;
    uint32_t restart_pending; /* the worker died, and the control thread is to open anew */
};

#define REAP_EVENTS_MOST 1024u
#define DIED_GRACE_NS 1000000000u /* how long the pidfd waits for the supervisor to say more */
#define SUPERVISOR_WAIT_NS 10000000000u
#define TRIM_AFTER_NS 1000000000u /* idle time after which a burst's pages are given back */
#define OPEN_SLACK_MS 500u        /* the supervisor's bound comes first: it knows why no worker was to be had */

extern struct handle_table berth_contexts;

/* context.c */
/* A context with a segment of its own, and one reference; *segment_fd is the caller's to pass on and close. */
struct context *context_new(struct client *client, const struct berth_open_options *options, int *segment_fd);
int context_is_opened(const struct context *context);
void context_attach_rings(struct context *context);
/* With submit_lock. 0, or -1 when the state does not allow it. */
int context_move(struct context *context, enum context_event event);
struct context *context_acquire(berth_context handle, int *why);
void context_release(struct context *context);
/* Ends the handle of a context that is settled, and lets the control thread free it. */
void context_end(struct context *context);
/* open.c. Asks the supervisor of that connection for a worker. 0 or -errno. */
int context_ask(struct context *context, uint64_t connection, int segment_fd);
/* Tells the supervisor that the lease ends, if it knows of it. */
void context_send_closing(struct context *context);
/* close.c. Nobody waits for the open any more: a worker that has it, or gets it later, is to end it. */
void context_leave_worker(struct context *context);
/* close.c. Starts a close, and asks the library thread for it. 0, or the berth_ret that refuses. */
int context_begin_close(struct context *context, berth_callback done, void *user_data);
/* For one that nobody waits for, or that is not over at once: has worker, supervisor and tick keep its bounds. */
void context_announce_close(struct context *context);
/* Until it is over. A library with nothing left to do ends its context within microseconds, and then nobody else is
 * woken for it. */
void context_wait_closed(struct context *context);
uint32_t context_state(const struct context *context);
/* How many slots were ever used: none beyond is in flight. */
static inline uint32_t context_slots(const struct context *context) {
    return __atomic_load_n(&context->slots_begun, __ATOMIC_ACQUIRE);
}
/* The verdict: the context is over, and `ret` with `data` answers what is pending. The first verdict stands. */
void context_fail(struct context *context, uint32_t ret, const void *data, size_t len);
/* The same from a thread that holds no baton: sees to it that somebody answers what is pending. */
void context_fail_now(struct context *context, uint32_t ret, const void *data, size_t len);
/* close.c. What a close owes once everything is answered; baton held. */
void context_settled(struct context *context);

/* open.c */
/* Asks for a worker now, or as soon as there is a supervisor. The context has module, segment_fd and open_timeout_ms. */
void context_ask_for_worker(struct context *context);
/* The worker's answer to the open may overtake the supervisor's, which has the methods: waits for that. 0: it will never
 * come. */
int context_wait_opened(struct context *context);

/* restart.c */
/* Copies what a restart needs. 0 or -ENOMEM. */
int context_keep_for_restart(struct context *context, const void *config, size_t config_len);
int context_restart_is_due(const struct context *context);
void context_restart(struct context *context);

/* supervisor_says.c */
void context_opened(struct context *context, struct control_packet *packet);
void context_refused(struct context *context, const struct berth_control_message *message);
void context_died(struct context *context, const struct berth_control_message *message);
/* The context is over, or gets another worker. */
void context_unwatch_worker(struct context *context);

/* tick.c. Work that is due; returns the next due time, 0 for none. Control thread. */
uint64_t context_tick(struct context *context, uint64_t now);
/* Has the control thread look at this context at `due_ns`. */
void context_arm_tick(struct context *context, uint64_t due_ns);
/* Before a wait for the worker: has its liveness looked at, where somebody wants to know. */
void context_watch(struct context *context);
uint64_t coarse_now_ns(void);

/* submit.c: the hot way in. 0 with *out (and the id, if asked for), or the berth_ret that refuses. */
int context_submit(struct context *context, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                   const struct request *what, struct request **out, uint64_t *out_id);
/* The same with submit_lock held, and no bound on len but the ring's. */
int context_submit_locked(struct context *context, uint16_t frame_kind, uint32_t method, const void *data, size_t len,
                          const struct request *what, struct request **out, uint64_t *out_id);
int context_send_urgent(struct context *context, uint16_t frame_kind, uint64_t id);
/* Through the segment, where a library thread that has nothing to do sees it. */
void context_ask_to_close(struct context *context);
void request_free(struct context *context, struct request *request);
/* Text for a refusal by context_submit. */
const char *context_refusal_text(int ret);
void context_refuse(struct context *context, int ret, struct berth_reply *reply);

/* drain.c: the hot way out. */
int baton_take(struct context *context);
void baton_give(struct context *context);
/* For a waiter that was called and no longer needs the baton: calls the next one. */
void baton_pass_on(struct context *context);
/* Takes and answers what is in the reply ring, at most `most` frames, until `own` (or NULL) is answered. Answers for
 * berth_reap go to `sink` (or NULL) while it has room. Baton held. Frames taken. */
int context_drain(struct context *context, struct request *own, struct reap_sink *sink, int most);
/* Answers everything pending with the verdict, once. Baton held. */
void context_settle(struct context *context);
/* With the baton: sleeps (after spinning) until the reply ring has something, somebody pokes, or the deadline. `poke`
 * is context->poke as it was before the caller last looked at what it waits for. 1: a frame came while it spun. */
int context_wait_reply(struct context *context, uint32_t poke, uint64_t deadline_ns);
uint32_t context_poke_seen(const struct context *context);
void context_poke(struct context *context);
/* Baton held, which it gives: takes frames until the request is answered (NULL: the context is settled), the context has
 * failed, or the deadline has passed. */
void context_lead(struct context *context, struct request *request, uint64_t deadline_ns);
/* Blocks until the request is answered (NULL: until the context is settled) or the deadline has passed. 1 it is. */
int context_wait_request(struct context *context, struct request *request, uint64_t deadline_ns);
void waiter_link(struct context *context, struct baton_waiter *waiter);
void waiter_unlink(struct context *context, struct baton_waiter *waiter);
struct completion *completion_new(uint32_t kind, uint64_t id, int32_t ret, berth_callback callback, void *user_data,
                                  const void *data, size_t len);
void completion_push(struct context *context, struct completion_queue *queue, struct completion *completion);
struct completion *completion_pop(struct context *context, struct completion_queue *queue);
/* Queues a completion for the reply thread or for berth_reap. */
int context_complete(struct context *context, uint32_t kind, uint64_t id, int32_t ret, berth_callback callback,
                     void *user_data, const void *data, size_t len);

/* progress.c. A PROGRESS frame on its way to callback or berth_reap. As the drain's own: 0, -EBADMSG, or -ENOMEM or
 * -ENOBUFS: come again. Baton held. */
int context_take_progress(struct context *context, const struct berth_frame_header *header, const uint8_t *payload,
                          struct reap_sink *sink);

/* callback_threads.c */
int reply_thread_need(struct context *context);
int event_thread_need(struct context *context);
/* Has the event thread look at everything it waits for. */
void event_thread_wake(struct context *context);
int event_thread_is_current(const struct context *context);
/* Asks both threads to leave the context once their callbacks are done; they kick the control thread. */
void context_stop_threads(struct context *context);
int context_threads_gone(struct context *context);

/* reap.c */
/* 1 when the sink took it, 0 when it has no room now. */
int reap_sink_put(struct context *context, struct reap_sink *sink, uint32_t kind, uint64_t id, int32_t ret,
                  void *user_data, const void *data, size_t len);
/* Wakes whoever waits for berth_reap to have something. */
void reap_signal(struct context *context);

/* events.c */
/* Takes the next event to its listeners: callbacks run here when this is the event thread, listeners of berth_reap get
 * it in `sink`, or queued when there is none. 1 took one, 0 none or no room. */
int context_take_event(struct context *context, struct reap_sink *sink);
/* Runs a listener's callback, unless it has been removed meanwhile. Event thread. */
void listener_run(struct context *context, uint64_t id, const uint8_t *data, size_t len);
/* Tells the worker whether anybody listens. */
void context_tell_events_wanted(struct context *context);
void listeners_free(struct context *context);

/* notices.c */
/* To every listener of the name; never waits, runs no host code. */
void context_notice(struct context *context, const char *name, const uint8_t *data, size_t len);
void context_notice_count(struct context *context, const char *name, const char *key, uint64_t number);
/* not_responding, and why. */
void context_notice_cause(struct context *context, const char *cause, uint64_t ms);
int context_run_notices(struct context *context); /* event thread; how many */

/* reply.c */
void reply_set(struct berth_reply *reply, int ret, const void *data, size_t len);
int reply_text(struct berth_reply *reply, int ret, const char *text);

#endif
