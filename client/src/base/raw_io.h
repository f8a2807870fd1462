/* System calls that are no cancellation points and leave errno alone: a host may cancel its threads, and a thread
 * must not end while it holds one of our locks. Each returns what the kernel does: a count, or -errno. */
#ifndef BERTH_RAW_IO_H
#define BERTH_RAW_IO_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "futex.h"

static inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f) {
    int saved = errno;
    long rc = syscall(number, a, b, c, d, e, f);
    if (rc < 0)
        rc = -errno;
    errno = saved;
    return rc;
}

static inline long raw_syscall(long number, long a, long b, long c, long d, long e) {
    return raw_syscall6(number, a, b, c, d, e, 0);
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

/* A fresh descriptor, out of the way of stdin, stdout and stderr: where the host has closed one of these the kernel
 * hands out its number, and what the host then prints or reads would be ours. Its own copy or, with errors, -errno. */
static inline int raw_above_stdio(long fd) {
    if (fd < 0 || fd > STDERR_FILENO)
        return (int)fd;
    long up = raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1, 0, 0);
    raw_close((int)fd);
    return (int)up;
}

/* As fstatat(2). 0 or -errno. */
static inline int raw_stat(int at, const char *path, struct stat *out, int flags) {
    int saved = errno;
    int rc = fstatat(at, path, out, flags) == 0 ? 0 : -errno;
    errno = saved;
    return rc;
}

static inline int raw_is_same_file(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* poll(2) until `deadline_ns` of CLOCK_MONOTONIC (0: without end), however many signals the thread handles meanwhile.
 * A deadline that has passed: a look. */
static inline long raw_poll(struct pollfd *fds, unsigned long count, uint64_t deadline_ns) {
    for (;;) {
        uint64_t now = deadline_ns ? berth_now_ns() : 0;
        uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
        struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        long rc = raw_syscall(SYS_ppoll, (long)fds, (long)count, deadline_ns ? (long)&timeout : 0, 0, 0);
        if (rc != -EINTR)
            return rc;
    }
}

/* For a moment; signals may make it shorter. */
static inline void raw_pause(uint32_t ms) {
    struct timespec timeout = {ms / 1000, (long)(ms % 1000) * 1000000};
    raw_syscall(SYS_ppoll, 0, 0, (long)&timeout, 0, 0);
}

/* Neither waits, whatever the other end has made of the descriptor's flags. */
static inline long raw_send(int socket, const void *bytes, size_t len) {
    return raw_syscall6(SYS_sendto, socket, (long)bytes, (long)len, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

static inline long raw_receive(int socket, void *bytes, size_t len) {
    return raw_syscall6(SYS_recvfrom, socket, (long)bytes, (long)len, MSG_DONTWAIT, 0, 0);
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
