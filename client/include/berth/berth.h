/* berth: native libraries, hosted out of process.
 *
 * A host connects to a supervisor (berth_connect), opens contexts (berth_open: one instance of a module's library,
 * alone in a worker process), and calls their methods (berth_call). Requests, replies and events are bytes; what they
 * mean is the module's to say, by custom it is CBOR.
 *
 *   berth_client client;
 *   berth_context db;
 *   struct berth_reply reply;
 *   uint32_t query;
 *   berth_connect(NULL, &client);
 *   berth_open(client, "sqlite", NULL, 0, NULL, &db, NULL);
 *   berth_method(db, "query", &query);
 *   if (berth_call(db, query, request, request_len, 1000, &reply) == BERTH_RET_OK)
 *       use(reply.data, reply.len);
 *   berth_reply_free(&reply);
 *   berth_disconnect(client);
 *
 * Answers. Every request that was accepted gets exactly one terminal answer: the module's, or what became of it
 * (deadline, cancel, close, the worker's death). A request that was refused, by the return value, gets none.
 *
 * Threads. Every function may be called from any thread, and from callbacks, at any time; the exceptions stand at
 * berth_disconnect, berth_unlisten and berth_reap. Requests of one context reach the module in the order in which they
 * were accepted. Handles that are stale or made up are answered with INVALID_CTX and never crash.
 *
 * Timeouts are as in poll(2): timeout_ms < 0 waits without end, 0 does not wait, more is milliseconds.
 *
 * Memory. What is passed in is copied before a function returns. What comes out belongs to berth: a reply until
 * berth_reply_free, a callback's data during the callback, a completion's data until the next berth_reap.
 *
 * What it does to the process. No signal handler, no SIGCHLD, no SIGPIPE, nothing on stdout or stderr, errno as it was,
 * no child that wait() sees. It has, all of it gone after berth_disconnect:
 *   - for each connection four descriptors (socket, epoll, eventfd, timerfd), a fifth (a pidfd) with a private
 *     supervisor, and one thread;
 *   - for each context three descriptors (two by which it is woken, the worker's pidfd; a fourth until it is opened),
 *     192 MiB of address space (sparse, only what is used becomes memory, also in a host that locks its memory; not in
 *     core dumps), and two threads, each had when first needed: one runs callbacks of answers (berth_submit,
 *     berth_open_submit, berth_close), one those of berth_listen; a connection keeps two of them for the contexts to
 *     come, and where they come and go the descriptors and address space of one, for a second, unless the process is
 *     near a limit to either;
 *   - with a private supervisor, where the host is given orphans (PID 1 of a container, a subreaper), one child without
 *     an exit signal, which wait() sees with __WALL or __WCLONE only, and which berth_disconnect collects. No SIGCHLD
 *     comes from it; one does where a library leaves processes behind.
 * Descriptors are close-on-exec, and none is 0, 1 or 2 once a call has returned, also where those are closed. On its
 * threads all signals are blocked but those of faults (SEGV, BUS, FPE, ILL, TRAP, SYS): a fault in a callback finds the
 * host's handler. Signals that the host handles make no call here fail. One page of memory stays for good, and so do
 * the tables of handles (24 KiB for each 1,024 in use at a time); so may one block of a large reply, and one array for
 * the requests of a context (104 KiB, of which only touched pages are memory), each kept for the next.
 * The process's RLIMIT_FSIZE must allow 193 MiB, and RLIMIT_MEMLOCK 193 MiB for each context where it locks its memory
 * (else: EXHAUSTED; twice that for a moment when one comes back by BERTH_RESTART); of that only touched pages are
 * locked. A private supervisor and its workers run as the process's first thread does (affinity, policy, nice),
 * whichever thread connects. SIGTERM, SIGINT and SIGHUP to a whole group are the host's to act on: supervisor and
 * workers end with it.
 *
 * When the service dies, contexts go on: calls, answers and events do not need it. The library tries its socket again,
 * after 50 ms, then ever more seldom, down to once a second, and only while there are contexts or something waits for a
 * supervisor, and takes its contexts to the next one by itself; then all is as before. Until then berth_open waits
 * (10 s at most), a close goes its way without it, and the death of a worker is seen, but its signal or status is not
 * known; nor is it later, as the worker was another supervisor's child. An open that was under way goes to the next
 * supervisor, or, when a worker had it already, ends with UNAVAILABLE. A private supervisor has no successor: contexts
 * go on, opens are UNAVAILABLE.
 *
 * After fork() the child gets BERTH_RET_FORKED from every function here that takes a handle of its parent's, for good.
 * It may connect for itself. exec() leaves all that behind.
 *
 * Environment. A program with rights that its caller does not have (set-uid, set-gid, file capabilities) obeys none of
 * it; its private supervisor and that one's workers find a fixed PATH, and of the caller's variables LANG, LC_*, TZ and
 * TERM where they name no file.
 *   BERTH_SOCKET      the service's socket
 *   BERTH_DAEMON      the berthd to start as a private supervisor, instead of the installed one
 *   BERTH_MODULE_DIR  folders of manifests for a private supervisor, a colon between
 *   BERTH_LOG         where a private supervisor logs to: "stderr" (the host's), or a file to append to; unset: nowhere
 */
#ifndef BERTH_H
#define BERTH_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Results, of functions and of requests. Where an answer has a payload it is UTF-8 text that says why, unless stated
 * otherwise; text is not zero-terminated. */
enum berth_ret {
    BERTH_RET_OK = 0,                /* payload: the module's bytes */
    BERTH_RET_ERR = 1,               /* the library said no; payload: UTF-8 text, never empty */
    BERTH_RET_MISSING_CALLBACK = 2,  /* berth_open_submit without one */
    BERTH_RET_STALE_WARN = 3,        /* not terminal: still in flight; payload: elapsed ms in decimal, or what the module
                                        says or sends on the way */
    BERTH_RET_TIMEOUT = 4,           /* no answer before the deadline; the worker is told to cancel */
    BERTH_RET_CLOSED = 5,            /* the context was closed by this host */
    BERTH_RET_INVALID_CTX = 6,       /* stale, closed or made-up handle */
    BERTH_RET_BUSY = 7,              /* too many requests in flight; or the wrong thread, see the function */
    BERTH_RET_QUEUE_FULL = 8,        /* request ring full: the worker does not keep up, try again later */
    BERTH_RET_TOO_LARGE = 9,         /* request, reply or configuration over 16 MiB (16,777,216 bytes); or a reply, or
                                        BERTH_DATA, that found 256 MiB of the context's unread: that ends its request */
    BERTH_RET_WORKER_DIED = 10,      /* payload: CBOR map, see below */
    BERTH_RET_RECYCLED = 11,         /* rejected or cut off, because the context is being closed: by this host, or by the
                                        supervisor, which is stopped in order; the text says why */
    BERTH_RET_UNAVAILABLE = 12,      /* no supervisor, none could be started; the named socket is not to be trusted; or
                                        it is gone and none came after it */
    BERTH_RET_DENIED = 13,           /* no right to connect to the service's socket (with BERTH_NO_PRIVATE; else a private
                                        supervisor is started) or run berthd; open: the service may not be its user, or
                                        the host has other rights than when it connected, and is to connect again */
    BERTH_RET_PROTOCOL = 14,         /* the other side broke the protocol, or speaks another version */
    BERTH_RET_FORKED = 15,           /* called in a child of the host that opened it, with a handle of the parent's */
    BERTH_RET_NO_MODULE = 16,        /* no manifest of that name; the text lists those there are */
    BERTH_RET_CANCELLED = 17,        /* by berth_cancel */
    BERTH_RET_EXHAUSTED = 18,        /* max_contexts reached; no worker by the deadline; the module is in quarantine, as
                                        its workers kept crashing; or no memory, descriptors or threads left in the
                                        host, or RLIMIT_FSIZE or RLIMIT_MEMLOCK is too small */
    BERTH_RET_INVALID_ARGUMENT = 19  /* NULL, a wrong size, an unknown method, id or flag */
};
/* The payload of WORKER_DIED is a CBOR map of text keys:
 *   "signal" uint or "status" uint   how the process ended; neither when no supervisor could tell
 *   "pid"      uint                  the worker's
 *   "uses"     uint                  contexts that it had served, this one included; 0 when unknown
 *   "last_log" text                  the last lines it wrote (20 at most), newlines between; may be empty
   "reason"   text                  why the supervisor killed it, when it did
 * The context is lost: every further request is answered in the same way. Close it, and open another (or have it come
 * back by itself: BERTH_RESTART). */

/* Handles: slot and generation. 0 is never valid; a handle is never given out twice. */
typedef struct berth_client  { uint64_t bits; } berth_client;
typedef struct berth_context { uint64_t bits; } berth_context;

/* ret is one of berth_ret; data is valid during the call only, and a zero byte follows it. Runs on a thread of berth's,
 * one callback of a context's answers at a time and one of its events; no lock is held. It may call anything here but
 * berth_disconnect; the context's other callbacks wait for its end. It must not throw. */
typedef void (*berth_callback)(int ret, const uint8_t *data, size_t len, void *user_data);

struct berth_reply;
struct berth_options {
    uint32_t size;               /* sizeof(struct berth_options) */
    uint32_t flags;              /* BERTH_PRIVATE or BERTH_NO_PRIVATE, or 0: the service, else a private supervisor */
    const char *socket_path;     /* of the service; NULL: $BERTH_SOCKET; else the first that answers of
                                    $XDG_RUNTIME_DIR/berth/berthd.sock and /run/berth/berthd.sock; only one that is to
                                    be trusted: see berth_connect */
    const char *module_dir;      /* manifests for a private supervisor; NULL: $BERTH_MODULE_DIR; else the installed */
    struct berth_reply *why;     /* NULL: not wanted. Gets the reason of a failure, with path and cause; on success its
                                    payload is CBOR null. Give it back with berth_reply_free */
    uint32_t socket_owner;       /* a uid whose socket is trusted where it is named (socket_path, $BERTH_SOCKET), beside
                                    root's and those of the process's effective user; 0: nobody else's */
    uint32_t reserved0;          /* zero */
    uint64_t reserved[2];        /* zero */
};
#define BERTH_PRIVATE    1u      /* own supervisor, even where a service runs; it ends with the connection */
#define BERTH_NO_PRIVATE 2u      /* never start one */

struct berth_open_options {
    uint32_t size;               /* sizeof(struct berth_open_options) */
    uint32_t flags;              /* BERTH_RESTART, or 0 */
    uint32_t max_in_flight;      /* requests accepted and not yet answered: 1 to 65536; 0: 1024. More: BUSY. One that ended
                                    with TIMEOUT, CANCELLED or TOO_LARGE by DATA counts until the worker has answered
                                    it, and so does an open under way (but with BERTH_RESTART) */
    uint32_t stale_warn_ms;      /* how long a submitted request is in flight before the first STALE_WARN, and between
                                    two; 0: 5000; UINT32_MAX: never */
    uint32_t open_timeout_ms;    /* from asking for a worker to the library's create; 0: 60000. At most 10000 of it to wait
                                    for a supervisor, where the service is gone; at most an hour for a worker */
    uint32_t reserved0;          /* zero */
    uint64_t reserved[3];        /* zero */
};

#define BERTH_RESTART 1u         /* when its worker dies, or its supervisor is stopped in order, the context comes back on
                                    another, created from the same configuration: what its library knew is lost (the
                                    notice "restarted" says when). Requests in flight end with WORKER_DIED, or RECYCLED,
                                    and are never sent again; in between further ones are refused in the same way.
                                    When the restart fails the context is lost, with what failed it: DENIED, where the
                                    host has other rights by then than when it connected. Closing works as ever. */

/* An answer, filled by every function here that takes one, whatever it returns; give it back
 * with berth_reply_free before it is used again. What it held before is not looked at. Small answers stand in the
 * struct itself: a copy's `data` still points into the first. */
struct berth_reply {
    int32_t ret;                 /* what the function returned */
    const uint8_t *data;
    size_t len;
    uint64_t private_words[40];
};

/* One answer or event, from berth_reap. */
struct berth_completion {
    uint64_t id;                 /* request id, or listener id for an event */
    uint32_t kind;               /* BERTH_REPLY, BERTH_EVENT, BERTH_PROGRESS, BERTH_NOTICE */
    int32_t ret;                 /* one of berth_ret; OK for an event */
    const uint8_t *data;         /* valid until the next berth_reap of the context */
    size_t len;
    void *user_data;             /* as given to berth_submit, berth_try_call or berth_listen */
};
enum {
    BERTH_REPLY = 1,             /* terminal: the request is over */
    BERTH_EVENT = 2,             /* payload as emitted */
    BERTH_PROGRESS = 3,          /* STALE_WARN: still in flight */
    BERTH_NOTICE = 4,            /* about the context itself: see berth_listen */
    BERTH_DATA = 5               /* STALE_WARN: still in flight; bytes that its module sends on the way */
};

/* --- connection ------------------------------------------------------------------------------------------------- */

/* Connects to the service; when none answers, starts a private supervisor (a berthd process that is nobody's child, and
 * ends with this connection). options == NULL: all defaults. *out is 0 when it fails. A process may have several
 * connections. Bounded: 10 s for the supervisor's greeting. options->why, where there is one, is filled whatever it
 * returns.
 *
 * Trust. A socket that nobody named is used only in a folder that nobody else can write: it, and all above it, belong
 * to root or the process's effective user, and neither group nor others may write there (above it they may where the
 * sticky bit is set, as in /tmp); the socket is no symbolic link, and root or that user listens. Else it is passed
 * over, as one where nobody answers is. One that was named must belong to root, that user or socket_owner, and so
 * must who listens: else it is UNAVAILABLE, and no private supervisor is started in its stead. The text says of each
 * address what was wrong. The same holds whenever the library connects again.
 *
 * Returns: OK; UNAVAILABLE; DENIED; PROTOCOL (it speaks no version that we do); EXHAUSTED; INVALID_ARGUMENT. */
int berth_connect(const struct berth_options *options, berth_client *out);

/* Closes every context of the connection, all at once, as berth_close without callback does, waits until their last
 * callbacks are done (30 s at most), and lets the connection go. A private supervisor and its workers have ended
 * when it returns. The handle is over once it is called.
 * Returns: OK; INVALID_CTX; FORKED; BUSY when called from a callback (nothing was done), or when a callback did not end
 * in 30 s (threads and descriptors then stay behind). */
int berth_disconnect(berth_client client);

/* --- contexts --------------------------------------------------------------------------------------------------- */

/* Opens a context: leases a worker and has the module create an instance from `config` (config_len bytes; what they
 * mean is the module's to say; NULL with 0 for none). Waits until that is done, open_timeout_ms at most. `why`, unless
 * NULL, gets the reason of a failure; on success its payload is CBOR null. *out is valid only after OK.
 * Returns: OK; ERR (the module cannot be loaded, or its create said no: `why` has its text); NO_MODULE; EXHAUSTED;
 * TIMEOUT; WORKER_DIED (in create); TOO_LARGE; BUSY (1024 opens of this host wait already); UNAVAILABLE; DENIED;
 * PROTOCOL; INVALID_CTX; FORKED; INVALID_ARGUMENT. */
int berth_open(berth_client client, const char *module, const void *config, size_t config_len,
               const struct berth_open_options *options, berth_context *out, struct berth_reply *why);

/* The same without waiting: *out is valid at once, before `done` can run, requests and listeners can be added
 * at once, and queue behind the open. `done` is called once, with what berth_open would return and its payload. When the
 * open fails, what was queued is answered in the same way, and the handle is over by itself.
 * Returns: OK (`done` will be called); MISSING_CALLBACK, or as berth_open: `done` will not be called. */
int berth_open_submit(berth_client client, const char *module, const void *config, size_t config_len,
                      const struct berth_open_options *options, berth_callback done, void *user_data,
                      berth_context *out);

/* Closes a context. It takes no more requests (RECYCLED). Those in flight have the module's drain timeout (1.5 s unless
 * its manifest says otherwise) to end, are then cancelled and have as long again (what the module then answers with an
 * error is told as RECYCLED), and are then cut off (RECYCLED). The library's instance is destroyed (teardown timeout,
 * 10 s). Past these bounds the worker is killed.
 *
 * `done` comes last of all the context's answers, on its reply thread, with OK and a CBOR map {"outcome": "drained" |
 * "cancelled" | "killed", "cut_off": uint}: everything was answered; something had to be cut off; the worker was killed
 * or had died. cut_off counts the requests answered RECYCLED.
 *
 * done == NULL waits for the end. Callbacks of the last answers, and of listeners, may still run when it returns;
 * berth_disconnect waits for them.
 *
 * The handle is over at the end of the close, or, when there are answers left for berth_reap, once that has handed
 * them all out: it then returns -CLOSED, one time. Until then berth_call, berth_try_call, berth_submit and berth_close
 * have CLOSED, and berth_listen has RECYCLED.
 *
 * Returns: OK; ERR when a close is under way already: `done` is then called at once, on this thread, with ERR and a
 * text; CLOSED, INVALID_CTX (after the end of a close), EXHAUSTED (no thread) and FORKED, without a call. */
int berth_close(berth_context context, berth_callback done, void *user_data);

/* --- calls ------------------------------------------------------------------------------------------------------ */

/* The id of a method. It is a hash of the name, the same for every context, worker and process: ask once, or keep it.
 * While an open is under way any name is accepted (a wrong one is then answered by the call, ERR).
 * Returns: OK; INVALID_ARGUMENT (the module has no such method); INVALID_CTX; FORKED. */
int berth_method(berth_context context, const char *name, uint32_t *out_method);

/* Calls a method and waits for its answer. The calling thread reads the reply ring itself, so there is no thread hop;
 * other threads may call on the same context at the same time. Past the deadline the answer is TIMEOUT, and the module
 * is told to cancel; with timeout_ms 0 the request is sent, but its answer is taken only if it is there already.
 * Returns reply->ret: OK; ERR; TIMEOUT; TOO_LARGE (request or reply); BUSY; QUEUE_FULL; RECYCLED; CLOSED; WORKER_DIED;
 * UNAVAILABLE (the supervisor went away before the context had a worker), or what else ended the context; PROTOCOL;
 * INVALID_CTX; FORKED; INVALID_ARGUMENT. BUSY, QUEUE_FULL and those after INVALID_CTX mean that nothing was sent. */
int berth_call(berth_context context, uint32_t method, const void *request, size_t len, int timeout_ms,
               struct berth_reply *reply);

/* Calls a context-free method: leases a worker for this one call, without creating an instance, and gives it back. The
 * timeout covers the wait for a worker and for the answer; giving back is waited for, within the bounds of
 * berth_close, unless the call had TIMEOUT.
 * Returns reply->ret, as berth_open and berth_call do; ERR when the method needs a context, or there is none such. */
int berth_call_static(berth_client client, const char *module, const char *method, const void *request, size_t len,
                      int timeout_ms, struct berth_reply *reply);

/* Sends a request and returns. Its answer goes to `callback`, on the context's reply thread, or, with callback == NULL,
 * to berth_reap. Before that come any number of STALE_WARNs, one each stale_warn_ms, and one whenever the module says
 * that it still works on the request; one that has not been fetched when the next comes gives way to it. So do, in
 * order and whole, bytes that the module sends on the way (to berth_reap as BERTH_DATA); about 1 MiB of one request at
 * most waits to be fetched, then the module waits. *out_id (NULL: not wanted) is written before the answer can come.
 * The answer's ret is as berth_call's, or CANCELLED. What waits to be fetched takes 64 MiB of a context at most;
 * further answers wait with the worker, unless a berth_call or berth_reap reads on past them.
 * Returns: OK: accepted, there will be one answer. Else refused, and `callback` is not called: TOO_LARGE; BUSY;
 * QUEUE_FULL; RECYCLED; CLOSED; WORKER_DIED, or what else ended the context; EXHAUSTED (no thread); INVALID_CTX;
 * FORKED; INVALID_ARGUMENT. */
int berth_submit(berth_context context, uint32_t method, const void *request, size_t len,
                 berth_callback callback, void *user_data, uint64_t *out_id);

/* Between berth_call and berth_submit, for runtimes whose threads may not wait: sends a request, waits for its answer
 * wait_us microseconds at most (0: not at all), as berth_call does, and leaves it to berth_reap if it has not come by
 * then. From there on it is a request of berth_submit's without a callback: with user_data, *out_id (NULL: not wanted),
 * STALE_WARNs and berth_cancel. berth_reap in another thread may have its answer before this function returns.
 * Returns reply->ret: STALE_WARN: accepted, the answer goes to berth_reap; else the answer, or a refusal, as
 * berth_call. */
int berth_try_call(berth_context context, uint32_t method, const void *request, size_t len, uint32_t wait_us,
                   void *user_data, uint64_t *out_id, struct berth_reply *reply);

/* Cancels a submitted request: its answer is CANCELLED, at once, and the module is told to stop working on it. Blocking
 * calls end by their timeout only.
 * Returns: OK: the answer is CANCELLED; INVALID_ARGUMENT: no such request is in flight (it may have been answered just
 * now); ERR (no memory); INVALID_CTX; FORKED. */
int berth_cancel(berth_context context, uint64_t id);

/* Gives a reply's memory back. NULL and a reply that was given back already are fine; one never filled is not, unless
 * it is zero. */
void berth_reply_free(struct berth_reply *reply);

/* --- events ----------------------------------------------------------------------------------------------------- */

/* Listens for the module's events of a name (1 to 255 bytes). Each goes to every listener of that name that was there
 * when it came to the first of them, in the order in which they were added, payload bytes as emitted: to `callback`
 * (ret OK) on the context's event thread, or, with callback == NULL, to berth_reap as BERTH_EVENT. Events keep their
 * order, but not beside answers.
 * A context in which nobody listens is sent no events. Where one context has listeners of both kinds, events for
 * berth_reap are dropped while 1024 completions wait for it.
 *
 * Events wait in a queue, bounded by the module's manifest (max_events, max_event_bytes). What finds it full is
 * dropped, newest first, and counted; replies are never delayed by it.
 *
 * Notices. These names are berth's own; a listener hears what the context has to say of itself, also when its worker is
 * stuck or dead. To berth_reap they come as BERTH_NOTICE. Payload: a CBOR map of text keys.
 *   "not_responding" {"cause": text, "ms": uint}  once an episode, and not in the context's first seconds (the manifest's
 *                    start_grace_ms) or while it is being closed. "handler": a handler has held the library's thread for
 *                    over a second; "queue": requests are not read; "stopped": the process was stopped by a signal;
 *                    "events": an overflow of the event queue was for good (the manifest's overflow = "sticky")
 *   "responding"     {"ms": uint}        the episode is over; how long it took
 *   "event_overflow" {"count": uint}     so many events were dropped; comes once there is room again
 *   "worker_died"    as WORKER_DIED      the worker of a context that was not being closed is gone
 *   "restarted"      {"restarts": uint}  it is back, and empty (BERTH_RESTART); how often by now
 * Past 1,024 notices that berth_reap has not fetched further ones are lost. Events that berth_reap would have, but that
 * came while callbacks, too, listen and 64 MiB of answers were unread, are lost without an event_overflow.
 * Returns: OK; RECYCLED (it is being closed); ERR (no memory, no thread); INVALID_CTX; FORKED; INVALID_ARGUMENT. */
int berth_listen(berth_context context, const char *event, berth_callback callback, void *user_data,
                 uint64_t *out_listener);

/* Ends a listener. When it returns the callback does not run and will not run again; called from a callback of
 * berth_listen of this context it does not wait. Completions that berth_reap already has in its queue may still come.
 * Returns: OK; INVALID_ARGUMENT (no such listener); INVALID_CTX; FORKED. */
int berth_unlisten(berth_context context, uint64_t listener);

/* --- poll mode -------------------------------------------------------------------------------------------------- */

/* Takes a batch of answers, events and STALE_WARNs, `capacity` at most, waiting for the first of them. Data of the last
 * batch is invalid from here on. One thread at a time for each context; berth_call and callbacks go on beside it.
 * Returns: how many; 0 when none came in time; a negative code: -BUSY (another thread is in berth_reap),
 * -INVALID_ARGUMENT, -INVALID_CTX, -FORKED, or, when the context is over and nothing is left to take, what ended it
 * (-WORKER_DIED, -RECYCLED …). */
int berth_reap(berth_context context, struct berth_completion *out, size_t capacity, int timeout_ms);

#define BERTH_LOOK (-2)          /* as berth_reap's timeout_ms: takes the answers that are there, does not wait, and is 0
                                    for a context that is over. Answers that come afterwards need not make the
                                    descriptor of berth_poll_fd readable, which spares the worker a system call for each:
                                    for a program that looks again at once. It ends with a berth_reap of timeout_ms 0
                                    before it waits on the descriptor. */

/* A descriptor for a poller of your own: readable when berth_reap has something, sometimes for nothing, and once right
 * after this call. Only poll it (berth_reap empties it), and take it out of the poller before the context is closed,
 * which closes it. From this call on an answer that nobody waits for costs the worker a system call.
 * Returns: the descriptor; -INVALID_CTX; -FORKED. */
int berth_poll_fd(berth_context context);

/* --- the rest --------------------------------------------------------------------------------------------------- */

/* What the supervisor knows, as one CBOR map: {"daemon": {pid, version, uptime_ms, socket, private, rss_bytes},
 * "modules": [{name, library, description, file, methods, policy: {spares, max_contexts, recycle, max_recycling,
 * zygote, max_uses, max_rss_mib, max_age_ms, idle_timeout_ms, drain_timeout_ms, teardown_timeout_ms, start_grace_ms,
 * overflow, max_events, max_event_bytes}, contexts, workers, crashes: in a row, quarantined: [uids], held_back_ms:
 * until the next worker may be started, ? version, ? error, ? differs: [{uid, ? version, ? methods, ? error}]}],
 * "workers": [{pid, module, state, since_ms, uses, rss_bytes, uid}], "zygotes": [{pid, module, state, since_ms, forks,
 * rss_bytes, uid}], "contexts": [{id, module, worker_pid, host_pid, state, since_ms, in_flight}]}. methods, version and
 * error are as workers of this host's user said them, the last that got ready and the last that did not; differs is
 * for root alone: what those of other users said that root's did not. in_flight is null where the worker did not say in
 * time, and socket where the supervisor is private. A module whose manifest is broken has name, file and error. New
 * keys may be added. Not bound to this host's own contexts.
 * Returns reply->ret: OK; UNAVAILABLE (no supervisor in 2 s); TIMEOUT (after 10 s); PROTOCOL; ERR; EXHAUSTED (no
 * descriptor left); INVALID_CTX; FORKED; INVALID_ARGUMENT. */
int berth_status(berth_client client, struct berth_reply *reply);

/* The last crashes, oldest first, as one CBOR array of maps: workers that ended without being asked to, or by force.
 * The supervisor keeps some (16 of a module and user, 64 in all) until it ends, and tells a host those of its user
 * whose groups it has, root all of them. {"module", "version", "pid", "uid", "uses": contexts it had served, the last
 * included, "context": uint or null, "host_pid": uint or null, "state": of the worker, "uptime_ms", "time_ms": since
 * 1970, "signal" or "status", "log": [the last lines it wrote], "doing": "create" | "request" | "destroy" | null,
 * "request": {"method", "id", "size"} that its library thread ran, or null, ? "killed": why the supervisor killed it}.
 * Where the worker's own signal handler ran there are also "fault": {"signal", "code": si_code, "address", "thread":
 * its id, "thread_name"}, "registers": [{"name", "value"}], "backtrace": [{"address", ? "module": a path, ? "offset" in
 * it, ? "symbol", ? "symbol_offset"}] from the inside out, "maps": [lines of /proc/PID/maps], "backtrace_cut" and
 * "maps_cut": true when there was more, "complete": false when the handler itself ran into trouble. New keys may be
 * added. Payloads are not in it, save what a register held or the library printed.
 * Returns reply->ret: OK; UNAVAILABLE; TIMEOUT (after 10 s); PROTOCOL; ERR; EXHAUSTED (no descriptor left);
 * INVALID_CTX; FORKED; INVALID_ARGUMENT. */
int berth_crashes(berth_client client, struct berth_reply *reply);

/* Has the supervisor forget that workers of a module crashed: the wait before the next worker is over, and so is a
 * quarantine, in which opens are EXHAUSTED. It does so for the workers of this user; for those of all users when called
 * by root or the user that the supervisor runs as. `reply` may be NULL; on success its payload is CBOR null.
 * Returns reply->ret: OK (also when there was nothing to forget); NO_MODULE; UNAVAILABLE; TIMEOUT (after 10 s);
 * PROTOCOL; ERR; INVALID_CTX; FORKED; INVALID_ARGUMENT. */
int berth_reset(berth_client client, const char *module, struct berth_reply *reply);

/* The code's name without its prefix, "WORKER_DIED"; "UNKNOWN" for what is none. Static text. */
const char *berth_ret_name(int ret);

/* The library's version, "0.1.0". Static text. */
const char *berth_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
