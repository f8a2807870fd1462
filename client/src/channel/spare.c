#include "channel/spare.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/raw_io.h"

static void destroy(struct channel_parts *parts) {
    segment_destroy(&parts->segment);
    raw_close(parts->segment_fd);
    wake_deinit(&parts->wake);
}

static int make(struct channel_parts *parts) {
    *parts = (struct channel_parts){.segment_fd = -1};
    int rc = wake_init(&parts->wake);
    if (rc == 0)
        rc = segment_create(&parts->segment, &parts->segment_fd);
    if (rc) {
        destroy(parts);
        *parts = (struct channel_parts){.wake = {-1, -1}, .segment_fd = -1};
    }
    return rc;
}

int channel_spare_take(struct channel_spare *spare, struct channel_parts *out) {
    struct channel_parts *parts = __atomic_exchange_n(&spare->parts, NULL, __ATOMIC_ACQ_REL);
    if (!parts)
        return make(out);
    *out = *parts;
    free(parts);
    return 0;
}

static rlim_t limit_of(__rlimit_resource_t resource) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(resource, &limit);
    return limit.rlim_cur;
}

/* The spare would be the one thing too many for a host near its limits. Locked memory counts for who has locked its
 * own, and has room for more segments: where there is none for one, either nothing is locked or the limit does not
 * hold. */
static int limits_leave_room(int newest) {
    rlim_t locked = limit_of(RLIMIT_MEMLOCK);
    return limit_of(RLIMIT_NOFILE) / 2 > (rlim_t)newest && limit_of(RLIMIT_AS) == RLIM_INFINITY &&
           (locked == RLIM_INFINITY || locked < berth_default_size(BERTH_SEGMENT_MAJOR));
}

void channel_spare_fill(struct channel_spare *spare, int newest) {
    struct channel_parts *none = NULL;
    if (__atomic_load_n(&spare->parts, __ATOMIC_RELAXED) || !limits_leave_room(newest))
        return;
    int saved = errno;
    struct channel_parts *parts = malloc(sizeof *parts);
    if (parts && make(parts) == 0) {
        if (!__atomic_compare_exchange_n(&spare->parts, &none, parts, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            destroy(parts);
            free(parts);
        }
    } else {
        free(parts);
    }
    errno = saved;
}

void channel_spare_drop(struct channel_spare *spare) {
    struct channel_parts *parts = __atomic_exchange_n(&spare->parts, NULL, __ATOMIC_ACQ_REL);
    if (parts)
        destroy(parts);
    free(parts);
}
