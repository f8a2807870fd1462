#include "base/own_thread.h"

#include "base/fork_guard.h"

static __thread uint32_t own; /* the epoch of the process in which it is; in a child forked by it, it is not */

int own_thread_is_current(void) { return own == fork_guard_epoch(); }
void own_thread_mark(void) { own = fork_guard_epoch(); }
