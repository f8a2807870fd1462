/* How host and worker wake each other when one of them sleeps in a poller: a pair of stream sockets, of which the
 * worker gets one end. A byte is a wakeup, either way. Nothing that the worker does to its end can have a call of the
 * host's wait. */
#ifndef BERTH_WAKE_H
#define BERTH_WAKE_H

struct wake {
    int poll_fd;    /* the host's end, readable: there is something to look at */
    int worker_end; /* the host's own reference to it: by this it wakes itself */
};

/* 0 or -errno; deinit may follow either way. */
int wake_init(struct wake *wake);
void wake_deinit(struct wake *wake);
void wake_worker(struct wake *wake);
void wake_host(struct wake *wake);
/* Empties what wakes the host, a bounded number of wakeups at a time. 1: there was something; 0: nothing; -1: the
 * worker has made its end useless, and the descriptor would stay readable. */
int wake_take(struct wake *wake);
/* All of them, as far as they fit. */
void wake_drain(struct wake *wake);

#endif
