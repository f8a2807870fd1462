/* Starts a supervisor for this host alone. */
#ifndef BERTH_PRIVATE_SUPERVISOR_H
#define BERTH_PRIVATE_SUPERVISOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct private_supervisor {
    pid_t stand_in; /* the daemon's parent, a child of this process without exit signal; 0: the daemon is init's */
    void *room;     /* what it runs on */
};

/* A control socket to a new private berthd, or -errno with one line in `why`. The daemon is no child of the host:
 * its start and its end raise no SIGCHLD here. It inherits no descriptor but its end of the socket, and is scheduled as
 * the process is, not as the thread that happens to call. */
int private_supervisor_start(const char *module_dir, struct private_supervisor *out, char *why, size_t why_size);

/* Once the daemon has ended, or is about to. Bounded. */
void private_supervisor_reap(struct private_supervisor *supervisor, uint32_t bound_ms);

#endif
