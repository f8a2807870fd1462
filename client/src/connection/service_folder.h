/* The folder of a socket that a client searches for. */
#ifndef BERTH_SERVICE_FOLDER_H
#define BERTH_SERVICE_FOLDER_H

#include <stddef.h>

#include "connection/socket_trust.h"

/* An O_PATH descriptor of it, or -errno; SOCKET_DISTRUSTED, with the cause in `why`: somebody else than root and the
 * host can put sockets there, or could put another folder in its place or in that of one above it. */
int service_folder_open(const char *path, const struct socket_trust *trust, char *why, size_t why_size);

#endif
