#include "echo.h"

#include <time.h>

#define NS_PER_S 1000000000u
#define LONGEST_MS 1000000000000u /* thirty years */

uint64_t echo_due_in(uint64_t ms) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec + (ms < LONGEST_MS ? ms : LONGEST_MS) * 1000000u;
}

bool echo_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool made =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(cond, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return made;
}

int echo_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t due_ns) {
    struct timespec due = {.tv_sec = (time_t)(due_ns / NS_PER_S), .tv_nsec = (long)(due_ns % NS_PER_S)};
    return pthread_cond_timedwait(cond, lock, &due);
}

bool echo_held_init(struct echo_held *held) {
    *held = (struct echo_held){.request = 0};
    pthread_mutex_init(&held->lock, NULL);
    return echo_cond_init(&held->changed);
}

void echo_held_deinit(struct echo_held *held) {
    pthread_cond_destroy(&held->changed);
    pthread_mutex_destroy(&held->lock);
}

void echo_held_begin(struct echo_held *held, berth_request request) {
    pthread_mutex_lock(&held->lock);
    held->request = request;
    held->cancelled = held->early == request;
    pthread_mutex_unlock(&held->lock);
}

void echo_held_end(struct echo_held *held) { echo_held_begin(held, 0); }

bool echo_held_cancelled(struct echo_held *held) {
    pthread_mutex_lock(&held->lock);
    bool cancelled = held->cancelled;
    pthread_mutex_unlock(&held->lock);
    return cancelled;
}

bool echo_held_wait(struct echo_held *held, uint64_t due_ns) {
    pthread_mutex_lock(&held->lock);
    while (!held->cancelled && echo_cond_wait_until(&held->changed, &held->lock, due_ns) == 0)
        ;
    bool whole = !held->cancelled;
    pthread_mutex_unlock(&held->lock);
    return whole;
}

void echo_held_cancel(struct echo_held *held, berth_request request) {
    pthread_mutex_lock(&held->lock);
    if (held->request == request)
        held->cancelled = true;
    else
        held->early = request;
    pthread_cond_signal(&held->changed);
    pthread_mutex_unlock(&held->lock);
}
