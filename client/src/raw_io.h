/* System calls that are no cancellation points and leave errno alone: a host may cancel its threads, and a thread
 * must not end while it holds one of our locks. Each returns what the kernel does: a count, or -errno. */
#ifndef BERTH_RAW_IO_H
#define BERTH_RAW_IO_H

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long raw_syscall(long number, long a, long b, long c, long d, long e) {
    int saved = errno;
    long rc = syscall(number, a, b, c, d, e, 0L);
    if (rc < 0)
        rc = -errno;
    errno = saved;
    return rc;
}

static inline void raw_close(int fd) {
#if defined(__SANITIZE_THREAD__)
    int saved = errno;
    if (fd >= 0)
        close(fd); /* seen by the sanitizer, which would take the number's next owner for this one */
    errno = saved;
#else
    if (fd >= 0)
        raw_syscall(SYS_close, fd, 0, 0, 0, 0);
#endif
}

/* Adds one to an eventfd. A full counter is readable anyway. */
static inline void raw_signal(int eventfd) {
    uint64_t one = 1;
    raw_syscall(SYS_write, eventfd, (long)&one, sizeof one, 0, 0);
}

/* Clears a non-blocking eventfd; 1 when there was something. */
static inline int raw_clear(int eventfd) {
    uint64_t count;
    return raw_syscall(SYS_read, eventfd, (long)&count, sizeof count, 0, 0) > 0;
}

#endif
