#include "delivery/alive.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/raw_io.h"
#include "delivery/notices.h"

/* By /proc: the third field of stat, behind the name in parentheses. */
static int is_stopped(uint32_t pid) {
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    int fd = raw_above_stdio(raw_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0));
    if (fd < 0)
        return 0;
    long len = raw_syscall(SYS_read, fd, (long)text, sizeof text - 1, 0, 0);
    raw_close(fd);
    text[len > 0 ? len : 0] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end && (strncmp(name_end, ") T", 3) == 0 || strncmp(name_end, ") t", 3) == 0);
}

uint64_t alive_look(struct delivery *delivery, uint32_t worker_pid, uint64_t now) {
    if (!__atomic_load_n(&delivery->listeners.liveness_wanted, __ATOMIC_ACQUIRE))
        return 0;
    struct channel *channel = delivery->channel;
    const struct berth_segment_header *header = channel->segment.header;
    const struct berth_ring_control *ring = &header->control[BERTH_RING_REQUEST];
    struct liveness_look look = {.now_ns = now,
                                 .head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE),
                                 .tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED),
                                 .turns = __atomic_load_n(&header->handler_turns, __ATOMIC_RELAXED),
                                 .owed = slots_any_in_flight(&channel->slots)};
    look.stopped = liveness_is_stale(&delivery->liveness, &look) && is_stopped(worker_pid);
    const char *cause = NULL;
    uint64_t ms;
    switch (liveness_judge(&delivery->liveness, &look, &cause, &ms)) {
    case LIVENESS_NOT_RESPONDING:
        notice_cause(delivery, cause, ms);
        break;
    case LIVENESS_RESPONDING:
        notice_count(delivery, "responding", "ms", ms);
        break;
    case LIVENESS_NOTHING:
        break;
    }
    return look.owed || look.head != look.tail || look.turns % 2 ? now + LIVENESS_LOOK_NS : 0;
}
