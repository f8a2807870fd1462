/* FUTEX_WAIT and FUTEX_WAKE on words that two processes share. errno is left as it was: these run inside a host. */
#ifndef BERTH_PROTO_FUTEX_H
#define BERTH_PROTO_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel_clock.h"

/* Sleeps while *word == expected, until woken, or until `deadline_ns` of CLOCK_MONOTONIC (0: no deadline).
 * Returns 0 when woken, or -EAGAIN, -EINTR, -ETIMEDOUT. A return of 0 says nothing about *word: look again. */
static inline int berth_futex_wait(uint32_t *word, uint32_t expected, uint64_t deadline_ns) {
    struct timespec deadline;
    int saved = errno;
    deadline.tv_sec = (time_t)(deadline_ns / 1000000000u);
    deadline.tv_nsec = (long)(deadline_ns % 1000000000u);
    /* The BITSET form takes an absolute time, so a spurious wakeup does not stretch the wait. */
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline_ns ? &deadline : NULL, NULL,
                      FUTEX_BITSET_MATCH_ANY);
    int result = rc < 0 ? -errno : 0;
    errno = saved;
    return result;
}

/* Wakes at most `count` sleepers; returns how many. */
static inline int berth_futex_wake(uint32_t *word, int count) {
    int saved = errno;
    long rc = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    errno = saved;
    return rc < 0 ? 0 : (int)rc;
}

#endif
