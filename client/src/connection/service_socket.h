/* Connects to a service's socket, if that is one to trust. */
#ifndef BERTH_SERVICE_SOCKET_H
#define BERTH_SERVICE_SOCKET_H

#include <stddef.h>

#include "connection/socket_trust.h"

/* A connected socket, or -errno; SOCKET_DISTRUSTED, with the cause in `why`, which else stays as it was. */
int service_socket_connect(const char *path, const struct socket_trust *trust, char *why, size_t why_size);
/* The same without waiting for a listener that is behind: -EAGAIN. */
int service_socket_try(const char *path, const struct socket_trust *trust, char *why, size_t why_size);

#endif
