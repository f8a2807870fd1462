/* The signal mask of berth's own threads: what is sent to the process is the host's to handle, on the host's threads. A
 * fault is of the thread that makes it, and a host's callback may make one: blocked, it would kill the process past the
 * host's handler. */
#ifndef BERTH_SIGNAL_MASK_H
#define BERTH_SIGNAL_MASK_H

#include <signal.h>

static inline void signal_mask_own(sigset_t *mask) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigfillset(mask);
    for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(mask, faults[i]);
}

#endif
