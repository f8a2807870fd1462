#include "connection/service_address.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/raw_io.h"
#include "connection/control_socket.h"
#include "connection/service_socket.h"

/* The host may change its folder. */
static char *absolute(const char *path) {
    char folder[PATH_MAX], *out = NULL;
    if (path[0] == '/' || !getcwd(folder, sizeof folder))
        return strdup(path);
    size_t size = strlen(folder) + strlen(path) + 2;
    out = malloc(size);
    if (out)
        snprintf(out, size, "%s/%s", folder, path);
    return out;
}

int service_address_init(struct service_address *address, const char *path, const struct socket_trust *trust,
                         int socket) {
    if (!path || control_socket_peer(socket, &address->uid) != 0)
        return 0;
    address->trust = *trust;
    int saved = errno;
    address->path = absolute(path);
    errno = saved;
    return address->path ? 0 : -ENOMEM;
}

void service_address_deinit(struct service_address *address) { free(address->path); }

int service_address_connect(const struct service_address *address) {
    uint32_t uid;
    char why[1];
    int fd = service_socket_try(address->path, &address->trust, why, sizeof why);
    if (fd < 0 || (control_socket_peer(fd, &uid) == 0 && (uid == 0 || uid == address->uid)))
        return fd;
    raw_close(fd);
    return SOCKET_DISTRUSTED;
}
