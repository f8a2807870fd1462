#include "channel/spare.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/raw_io.h"

#define KEEP_NS 1000000000u

static void destroy(struct channel_parts *parts) {
    segment_destroy(&parts->segment);
    raw_close(parts->segment_fd);
    wake_deinit(&parts->wake);
}

static int make(struct channel_parts *parts) {
    *parts = (struct channel_parts){.segment_fd = -1};
    int rc = wake_init(&parts->wake);
    if (rc == 0)
        rc = segment_reserve(&parts->segment, &parts->segment_fd);
    if (rc) {
        destroy(parts);
        *parts = (struct channel_parts){.wake = {-1, -1}, .segment_fd = -1};
    }
    return rc;
}

static int take_or_make(struct channel_spare *spare, struct channel_parts *out) {
    struct channel_parts *parts = __atomic_exchange_n(&spare->parts, NULL, __ATOMIC_ACQ_REL);
    if (!parts)
        return make(out);
    *out = *parts;
    free(parts);
    return 0;
}

int channel_spare_take(struct channel_spare *spare, struct channel_parts *out) {
    if (__atomic_load_n(&spare->closed, __ATOMIC_RELAXED))
        __atomic_store_n(&spare->wanted, 1, __ATOMIC_RELAXED);
    int rc = take_or_make(spare, out);
    if (rc == 0)
        rc = segment_begin(&out->segment);
    if (rc && out->segment_fd >= 0) {
        destroy(out);
        *out = (struct channel_parts){.wake = {-1, -1}, .segment_fd = -1};
    }
    return rc;
}

static rlim_t limit_of(int resource) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(resource, &limit);
    return limit.rlim_cur;
}

static int descriptors_left(int descriptor) {
    long lowest = raw_syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1, 0, 0);
    raw_close((int)lowest);
    return lowest >= 0 && (rlim_t)lowest < limit_of(RLIMIT_NOFILE) / 2;
}

/* The spare would be the one thing too many for a host near its limits. Locked memory counts for who has locked its
 * own, and has room for more segments: where there is none for one, either nothing is locked or the limit does not
 * hold. */
static int limits_leave_room(int descriptor) {
    rlim_t locked = limit_of(RLIMIT_MEMLOCK);
    return limit_of(RLIMIT_AS) == RLIM_INFINITY &&
           (locked == RLIM_INFINITY || locked < berth_default_size(BERTH_SEGMENT_MAJOR)) &&
           descriptors_left(descriptor);
}

static uint64_t fill(struct channel_spare *spare) {
    struct channel_parts *none = NULL, *parts = malloc(sizeof *parts);
    uint64_t now = berth_now_ns();
    __atomic_store_n(&spare->made_ns, now, __ATOMIC_RELAXED);
    if (!parts || make(parts) != 0) {
        free(parts);
        return 0;
    }
    if (!__atomic_compare_exchange_n(&spare->parts, &none, parts, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        destroy(parts);
        free(parts);
    }
    return now + KEEP_NS;
}

uint64_t channel_spare_fill(struct channel_spare *spare, int descriptor) {
    int saved = errno;
    uint64_t due = 0;
    __atomic_store_n(&spare->closed, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&spare->wanted, __ATOMIC_RELAXED) && !__atomic_load_n(&spare->parts, __ATOMIC_RELAXED) &&
        limits_leave_room(descriptor))
        due = fill(spare);
    errno = saved;
    return due;
}

uint64_t channel_spare_tick(struct channel_spare *spare, uint64_t now) {
    if (!__atomic_load_n(&spare->parts, __ATOMIC_ACQUIRE))
        return 0;
    uint64_t due = __atomic_load_n(&spare->made_ns, __ATOMIC_RELAXED) + KEEP_NS;
    if (now < due)
        return due;
    channel_spare_drop(spare);
    return 0;
}

void channel_spare_drop(struct channel_spare *spare) {
    struct channel_parts *parts = __atomic_exchange_n(&spare->parts, NULL, __ATOMIC_ACQ_REL);
    if (parts)
        destroy(parts);
    free(parts);
}
