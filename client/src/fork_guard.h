/* Tells a forked child from the process that opened berth: a page that the kernel wipes in the child. */
#ifndef BERTH_FORK_GUARD_H
#define BERTH_FORK_GUARD_H

#include <stdint.h>

extern const uint32_t *berth_fork_page; /* NULL until first used; then points at 1, in a child at 0 */

/* Makes the page once. 0 or -errno. */
int fork_guard_init(void);

static inline int fork_guard_is_child(void) {
    const uint32_t *page = __atomic_load_n(&berth_fork_page, __ATOMIC_ACQUIRE);
    return page && *(const volatile uint32_t *)page == 0;
}

#endif
