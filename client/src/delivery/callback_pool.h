/* The threads that run hosts' callbacks. One that is done with a context waits for the next: to start a thread and to
 * end it takes a host longer than half of what a ready worker takes to open a context. */
#ifndef BERTH_CALLBACK_POOL_H
#define BERTH_CALLBACK_POOL_H

#include <pthread.h>
#include <stdint.h>

struct alarm;
struct callback_thread;

struct callback_pool {
    struct alarm *alarm;
    pthread_mutex_t lock;
    struct callback_thread *idle, *over; /* over: left to be joined */
    uint32_t idle_count, working;
    int stopping;
};

void callback_pool_init(struct callback_pool *pool, struct alarm *alarm);
/* Has a thread run `body`, which does not touch the context after it has told that it is done. 0 or an errno. */
int callback_pool_run(struct callback_pool *pool, void (*body)(void *), void *context);
/* Joins threads that were not kept. They kick the control thread, whose work it is: others may be cancelled in it. */
void callback_pool_join(struct callback_pool *pool);
/* Ends all threads. No body is at work any more but for its last steps, and none begins. */
void callback_pool_stop(struct callback_pool *pool);

#endif
