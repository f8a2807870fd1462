/* The two threads that run a host's callbacks: one for answers (reply_thread.h), one for events (event_thread.h), each
 * of the client's pool and taken when first needed. Here is how they are had, woken and let go. */
#ifndef BERTH_CALLBACK_THREADS_H
#define BERTH_CALLBACK_THREADS_H

#include "delivery/delivery.h"

/* Has `body` run for this context, unless *started. 0; -ESRCH: the context is over; or an errno. */
int callback_threads_need(struct delivery *delivery, uint32_t *started, void (*body)(void *delivery));
/* The body's last step: the context may be freed from here on. */
void callback_threads_gone(struct delivery *delivery);
/* Asks both threads to leave the context once their callbacks are done; they ring the alarm. */
void callback_threads_stop(struct delivery *delivery);
/* 1: none is at work in it any more, and none begins. */
int callback_threads_are_gone(struct delivery *delivery);
static inline int callback_threads_are_stopped(const struct delivery *delivery) {
    return __atomic_load_n(&delivery->threads.stop, __ATOMIC_SEQ_CST) != 0;
}

/* Has the event thread look at everything it waits for. */
void event_thread_wake(struct delivery *delivery);
int event_thread_is_current(const struct delivery *delivery);
/* By the event thread itself; NULL: it no longer is. */
void event_thread_mark(const struct delivery *delivery);

#endif
