/* Kill points: named places in the code where a test can have a process stand still, to kill it or somebody else there.
 *
 * In a build without BERTH_KILL_POINTS (meson: -Dkill_points=true) the macro is nothing. With it, a process stops itself
 * at the point that the environment variable BERTH_KILL_POINT names, if it is the first to create the file that
 * BERTH_KILL_POINT_FILE names; its pid is then in there. BERTH_KILL_POINT_AFTER: how often it passes by before that.
 * So the point is met once, however many processes have the variables. tests/kill_points/points.json lists the points.
 *
 * Everything here may be called in a forked child of a threaded process. Not for a build that anybody relies on. */
#ifndef BERTH_PROTO_KILL_POINT_H
#define BERTH_PROTO_KILL_POINT_H

#ifndef BERTH_KILL_POINTS
#define BERTH_KILL_POINT(name) ((void)0)
#else

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct berth_kill_point {
    uint32_t looked; /* 0: not yet; 1: it is not this one; 2: it is */
    uint32_t passed;
};

static inline int berth_kill_point_is_armed(const char *name) {
    const char *armed = getenv("BERTH_KILL_POINT");
    return armed && strcmp(armed, name) == 0 && getenv("BERTH_KILL_POINT_FILE");
}

/* The signal goes to this thread, and not to the process: then it is this thread that stands where it was called, and
 * the others stop with it. */
static inline void berth_kill_point_stop(void) {
    char text[16], *digit = text + sizeof text;
    pid_t pid = getpid();
    int fd = open(getenv("BERTH_KILL_POINT_FILE"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return; /* somebody stood here already */
    *--digit = '\n';
    for (pid_t left = pid; left; left /= 10)
        *--digit = (char)('0' + left % 10);
    ssize_t written = write(fd, digit, (size_t)(text + sizeof text - digit));
    close(fd);
    if (written > 0)
        syscall(SYS_tgkill, pid, syscall(SYS_gettid), SIGSTOP);
}

static inline void berth_kill_point(const char *name, struct berth_kill_point *point) {
    uint32_t looked = __atomic_load_n(&point->looked, __ATOMIC_RELAXED);
    if (looked == 1)
        return;
    int saved = errno;
    if (looked == 0) {
        looked = berth_kill_point_is_armed(name) ? 2 : 1;
        __atomic_store_n(&point->looked, looked, __ATOMIC_RELAXED);
    }
    const char *after = looked == 2 ? getenv("BERTH_KILL_POINT_AFTER") : NULL;
    if (looked == 2 &&
        __atomic_fetch_add(&point->passed, 1, __ATOMIC_RELAXED) >= (after ? strtoul(after, NULL, 10) : 0))
        berth_kill_point_stop();
    errno = saved;
}

#define BERTH_KILL_POINT(name)                                                                                         \
    do {                                                                                                               \
        static struct berth_kill_point berth_kill_point_here;                                                          \
        berth_kill_point(name, &berth_kill_point_here);                                                                \
    } while (0)

#endif
#endif
