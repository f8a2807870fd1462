/* Kill points: named places in the code where a test can have a process stand still, to kill it or somebody else there,
 * or a thread stand still and go on, to see what comes of that schedule.
 *
 * In a build without BERTH_KILL_POINTS (meson: -Dkill_points=true) the macros are nothing. With it, a process stops
 * itself at the point that the environment variable BERTH_KILL_POINT names, if it is the first to create the file that
 * BERTH_KILL_POINT_FILE names; its pid is then in there. BERTH_KILL_POINT_AFTER: how often it passes by before that.
 * So the point is met once, however many processes have the variables. tests/kill_points/points.json lists the points.
 *
 * Only the thread that comes by stands still, and goes on by itself, with
 *   BERTH_DELAY_SEED=N      at every point, at some passes, for some microseconds or a few milliseconds. How long is
 *                           decided by N, the point's name and which pass by it this is in its process
 *   BERTH_DELAY_POINTS=…    only at these: names, or beginnings that end in a point ("host."), commas between
 *   BERTH_DELAY_MOST_US=N   not longer than that; unset: 3000
 *   BERTH_DELAY=NAME:US[:AFTER]  at the point NAME, at every pass but the first AFTER, exactly so many microseconds
 *   BERTH_HOLD_FOLDER=PATH  the first thread that comes to a point NAME while the file PATH/NAME is there makes
 *                           PATH/NAME.here, and stands until PATH/NAME is gone: a test says how long, not a clock
 * All are looked at when a point is first passed. Where none is meant for it, it costs one load from then on.
 *
 * At a BERTH_DELAY_POINT threads only stand still: nobody is killed there, and points.json has no row for it.
 *
 * Everything here may be called in a forked child of a threaded process. Not for a build that anybody relies on. */
#ifndef BERTH_PROTO_KILL_POINT_H
#define BERTH_PROTO_KILL_POINT_H

#ifndef BERTH_KILL_POINTS
#define BERTH_KILL_POINT(name) ((void)0)
#define BERTH_DELAY_POINT(name) ((void)0)
#else

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "delay_point.h"

enum { /* bits of `armed` */
    BERTH_POINT_LOOKED = 1, /* alone: nothing is meant for this one */
    BERTH_POINT_STOPS = 2,
    BERTH_POINT_DELAYS = 4, /* by seed */
    BERTH_POINT_STANDS = 8, /* BERTH_DELAY */
    BERTH_POINT_HOLDS = 16
};

struct berth_kill_point {
    uint32_t armed; /* 0: not looked yet; stored after the rest */
    uint32_t passed;
    uint64_t seed; /* the delays' */
    uint32_t most_us;
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

static inline uint32_t berth_kill_point_arm_seed(const char *name, struct berth_kill_point *point) {
    const char *seed = getenv("BERTH_DELAY_SEED"), *most = getenv("BERTH_DELAY_MOST_US");
    if (!seed || !berth_delay_listed(getenv("BERTH_DELAY_POINTS"), name))
        return 0;
    __atomic_store_n(&point->seed, berth_delay_seed(strtoull(seed, NULL, 10), name), __ATOMIC_RELAXED);
    __atomic_store_n(&point->most_us, most ? (uint32_t)strtoul(most, NULL, 10) : BERTH_DELAY_MOST_US, __ATOMIC_RELAXED);
    return BERTH_POINT_DELAYS;
}

static inline uint32_t berth_kill_point_arm(const char *name, struct berth_kill_point *point) {
    uint64_t us;
    uint32_t after, armed = BERTH_POINT_LOOKED | berth_kill_point_arm_seed(name, point);
    if (berth_kill_point_is_armed(name))
        armed |= BERTH_POINT_STOPS;
    if (berth_delay_exact(getenv("BERTH_DELAY"), name, &us, &after))
        armed |= BERTH_POINT_STANDS;
    if (getenv("BERTH_HOLD_FOLDER"))
        armed |= BERTH_POINT_HOLDS;
    __atomic_store_n(&point->armed, armed, __ATOMIC_RELEASE);
    return armed;
}

static inline void berth_kill_point_delay(const char *name, struct berth_kill_point *point, uint32_t armed,
                                          uint32_t pass) {
    uint64_t us;
    uint32_t after;
    if (armed & BERTH_POINT_DELAYS)
        berth_delay_stand(berth_delay_us(__atomic_load_n(&point->seed, __ATOMIC_RELAXED), pass,
                                         __atomic_load_n(&point->most_us, __ATOMIC_RELAXED)));
    if (armed & BERTH_POINT_STANDS && berth_delay_exact(getenv("BERTH_DELAY"), name, &us, &after) && pass >= after)
        berth_delay_stand(us);
    const char *folder = armed & BERTH_POINT_HOLDS ? getenv("BERTH_HOLD_FOLDER") : NULL;
    if (folder)
        berth_delay_hold(folder, name);
}

static inline void berth_kill_point(const char *name, struct berth_kill_point *point, int stops) {
    uint32_t armed = __atomic_load_n(&point->armed, __ATOMIC_RELAXED);
    if (armed == BERTH_POINT_LOOKED)
        return;
    int saved = errno;
    armed = __atomic_load_n(&point->armed, __ATOMIC_ACQUIRE);
    if (!armed)
        armed = berth_kill_point_arm(name, point);
    if (armed != BERTH_POINT_LOOKED) {
        uint32_t pass = __atomic_fetch_add(&point->passed, 1, __ATOMIC_RELAXED);
        const char *after = armed & BERTH_POINT_STOPS ? getenv("BERTH_KILL_POINT_AFTER") : NULL;
        if (stops && armed & BERTH_POINT_STOPS && pass >= (after ? strtoul(after, NULL, 10) : 0))
            berth_kill_point_stop();
        berth_kill_point_delay(name, point, armed, pass);
    }
    errno = saved;
}

#define BERTH_POINT(name, stops)                                                                                       \
    do {                                                                                                               \
        static struct berth_kill_point berth_kill_point_here;                                                          \
        berth_kill_point(name, &berth_kill_point_here, stops);                                                         \
    } while (0)
#define BERTH_KILL_POINT(name) BERTH_POINT(name, 1)
#define BERTH_DELAY_POINT(name) BERTH_POINT(name, 0)

#endif
#endif
