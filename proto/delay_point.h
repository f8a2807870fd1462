/* How a thread stands still at a kill point and then goes on (kill_point.h has the variables). Raw system calls: no
 * cancellation point, nothing that a forked child of a threaded process may not call. */
#ifndef BERTH_PROTO_DELAY_POINT_H
#define BERTH_PROTO_DELAY_POINT_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BERTH_DELAY_MOST_US 3000u /* where BERTH_DELAY_MOST_US does not say otherwise */

/* --- by seed ----------------------------------------------------------------------------------------------------- */

static inline uint64_t berth_delay_mix(uint64_t value) { /* splitmix64 */
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static inline uint64_t berth_delay_seed(uint64_t seed, const char *name) {
    uint64_t hash = berth_delay_mix(seed);
    for (; *name; name++)
        hash = berth_delay_mix(hash ^ (uint8_t)*name);
    return hash;
}

/* What the pass-th pass by a point of that seed takes: three of four nothing, most others a few microseconds, one of 32
 * up to `most_us`, and the shorter the more often. */
static inline uint32_t berth_delay_us(uint64_t point_seed, uint32_t pass, uint32_t most_us) {
    uint64_t hash = berth_delay_mix(point_seed + pass);
    uint32_t which = hash % 32, amount = (uint32_t)(hash >> 32);
    if (which >= 8 || !most_us)
        return 0;
    uint32_t bound = which ? 32 : most_us >> (hash >> 8) % 6;
    if (bound > most_us)
        bound = most_us;
    return 1 + amount % (bound ? bound : 1);
}

/* In a list of names with commas between, where one that ends in a point stands for all that begin so. NULL: all. */
static inline int berth_delay_listed(const char *list, const char *name) {
    while (list && *list) {
        size_t len = strcspn(list, ",");
        if (len && strncmp(list, name, len) == 0 && (list[len - 1] == '.' || !name[len]))
            return 1;
        list += len + (list[len] == ',');
    }
    return !list;
}

/* --- standing still ---------------------------------------------------------------------------------------------- */

static inline uint64_t berth_delay_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Short ones without the kernel, which would make 50 µs of them. Signals do not cut it short. */
static inline void berth_delay_stand(uint64_t us) {
    uint64_t now = berth_delay_now_ns(), until = now + us * 1000u;
    for (; now < until; now = berth_delay_now_ns())
        if (us >= 50) {
            struct timespec left = {(time_t)((until - now) / 1000000000u), (long)((until - now) % 1000000000u)};
            syscall(SYS_nanosleep, &left, NULL);
        }
}

/* "name:us[:after]": whether this is the point; how long, and how often it is passed before. */
static inline int berth_delay_exact(const char *setting, const char *name, uint64_t *us, uint32_t *after) {
    size_t len = strlen(name);
    if (!setting || strncmp(setting, name, len) != 0 || setting[len] != ':')
        return 0;
    char *end;
    *us = strtoull(setting + len + 1, &end, 10);
    *after = *end == ':' ? (uint32_t)strtoul(end + 1, NULL, 10) : 0;
    return 1;
}

/* The first thread that comes by while FOLDER/NAME is there makes FOLDER/NAME.here, and stands until FOLDER/NAME is
 * gone. */
static inline void berth_delay_hold(const char *folder, const char *name) {
    char here[512];
    size_t folder_len = strlen(folder), name_len = strlen(name);
    if (folder_len + name_len + sizeof "/.here" > sizeof here)
        return;
    memcpy(here, folder, folder_len);
    here[folder_len] = '/';
    memcpy(here + folder_len + 1, name, name_len + 1);
    if (syscall(SYS_faccessat, AT_FDCWD, here, F_OK) != 0)
        return;
    memcpy(here + folder_len + 1 + name_len, ".here", sizeof ".here");
    long fd = syscall(SYS_openat, AT_FDCWD, here, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return; /* somebody stood here already */
    syscall(SYS_close, (int)fd);
    here[folder_len + 1 + name_len] = 0;
    while (syscall(SYS_faccessat, AT_FDCWD, here, F_OK) == 0)
        berth_delay_stand(200);
}

#endif
