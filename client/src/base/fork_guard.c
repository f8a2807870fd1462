#include "base/fork_guard.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

#define PAGE_ROOM 4096

uint32_t *berth_fork_page;
static uint32_t epoch = 1;

uint32_t fork_guard_epoch(void) { return __atomic_load_n(&epoch, __ATOMIC_RELAXED); }

/* Without a lock, which a fork could catch held. */
static int make_page(void) {
    uint32_t *page = mmap(NULL, PAGE_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *none = NULL;
    if (page == MAP_FAILED)
        return -errno;
    int rc = madvise(page, PAGE_ROOM, MADV_WIPEONFORK) == 0 ? 0 : -errno;
    *page = FORK_OURS;
    if (rc || !__atomic_compare_exchange_n(&berth_fork_page, &none, page, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        munmap(page, PAGE_ROOM);
    return rc;
}

int fork_guard_init(void (*renew)(void)) {
    if (!__atomic_load_n(&berth_fork_page, __ATOMIC_ACQUIRE)) {
        int rc = make_page();
        if (rc)
            return rc;
    }
    uint32_t *state = berth_fork_page, child = FORK_CHILD;
    if (__atomic_compare_exchange_n(state, &child, FORK_RENEWING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        __atomic_fetch_add(&epoch, 1, __ATOMIC_RELAXED);
        renew();
        __atomic_store_n(state, FORK_OURS, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(state, __ATOMIC_ACQUIRE) != FORK_OURS)
        sched_yield();
    return 0;
}
