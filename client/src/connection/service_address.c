#include "connection/service_address.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/raw_io.h"

static int peer_uid(int socket, uint32_t *uid) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    long rc = raw_syscall(SYS_getsockopt, socket, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size);
    *uid = peer.uid;
    return (int)rc;
}

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

int service_address_init(struct service_address *address, const char *path, int socket) {
    if (!path || peer_uid(socket, &address->uid) != 0)
        return 0;
    int saved = errno;
    address->path = absolute(path);
    errno = saved;
    return address->path ? 0 : -ENOMEM;
}

void service_address_deinit(struct service_address *address) { free(address->path); }

int service_address_is_trusted(const struct service_address *address, int socket) {
    uint32_t uid;
    return peer_uid(socket, &uid) == 0 && (uid == 0 || uid == address->uid);
}
