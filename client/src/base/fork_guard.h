/* Tells a forked child from the process that uses berth: a page that the kernel wipes in the child. The child is told
 * FORKED until it connects for itself; then everything of ours is made anew, as the parent's threads may have held any
 * lock at the fork. */
#ifndef BERTH_FORK_GUARD_H
#define BERTH_FORK_GUARD_H

#include <stdint.h>

enum fork_state { FORK_CHILD = 0 /* as wiped */, FORK_RENEWING = 1, FORK_OURS = 2 };

extern uint32_t *berth_fork_page; /* NULL until first used; its first word is a fork_state */

/* Makes the page once, and calls `renew` once in each child that comes here. 0 or -errno. */
int fork_guard_init(void (*renew)(void));

/* Which of the processes that the memory has come through this is: what a thread noted of itself is its own only in
 * the process in which it did. Never 0. */
uint32_t fork_guard_epoch(void);

static inline int fork_guard_is_child(void) {
    const uint32_t *page = __atomic_load_n(&berth_fork_page, __ATOMIC_ACQUIRE);
    return page && __atomic_load_n(page, __ATOMIC_ACQUIRE) != FORK_OURS;
}

#endif
