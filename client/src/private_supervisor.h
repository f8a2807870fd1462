/* Starts a supervisor for this host alone. */
#ifndef BERTH_PRIVATE_SUPERVISOR_H
#define BERTH_PRIVATE_SUPERVISOR_H

#include <stddef.h>

/* A control socket to a new private berthd, or -errno with one line in `why`. The daemon is no child of the host:
 * its start and its end raise no SIGCHLD here. It inherits no descriptor but its end of the socket. */
int private_supervisor_start(const char *module_dir, char *why, size_t why_size);

#endif
