/* The parts of the echo module. */
#ifndef BERTH_MODULES_ECHO_H
#define BERTH_MODULES_ECHO_H

#include "module.h"

#include <pthread.h>
#include <stdbool.h>

#define ECHO_CANCELLED "cancelled"

extern const struct berth_worker *echo_worker;

/* Answers requests when their time has come, from one thread of its own, earliest first. */
struct echo_timer;
struct echo_timer *echo_timer_new(void);
void echo_timer_free(struct echo_timer *timer); /* answers what still waits as cancelled */
/* Copies data. False: out of memory, or of threads. */
bool echo_timer_add(struct echo_timer *timer, uint64_t due_ns, berth_request request, const void *data, size_t len);
void echo_timer_cancel(struct echo_timer *timer, berth_request request); /* nothing, when it does not wait there */

/* Requests that send DATA before their answer. Library thread only. */
struct stream;
struct echo_streams {
    struct stream *first;
};
/* False: out of memory, or of threads. */
bool echo_stream_begin(struct echo_streams *streams, berth_request request, uint64_t count, size_t bytes);
void echo_streams_end(struct echo_streams *streams); /* waits for them: nobody wants their data any more */

/* The one request that the library thread is busy with, as the cancel hook sees it. */
struct echo_held {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    berth_request request;
    berth_request early; /* cancelled before anybody knew of it: handle had just begun */
    bool cancelled;
};
bool echo_held_init(struct echo_held *held);
void echo_held_deinit(struct echo_held *held);
void echo_held_begin(struct echo_held *held, berth_request request);
void echo_held_end(struct echo_held *held);
bool echo_held_cancelled(struct echo_held *held);
bool echo_held_wait(struct echo_held *held, uint64_t due_ns); /* false: cancelled */
void echo_held_cancel(struct echo_held *held, berth_request request);

/* CLOCK_MONOTONIC, in nanoseconds; far-off times are brought near enough to fit. */
uint64_t echo_due_in(uint64_t ms);
bool echo_cond_init(pthread_cond_t *cond);
int echo_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t due_ns);

#endif
