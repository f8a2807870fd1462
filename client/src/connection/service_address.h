/* Where a client's service listens, and who does: the way back to it, should its supervisor die. */
#ifndef BERTH_SERVICE_ADDRESS_H
#define BERTH_SERVICE_ADDRESS_H

#include <stdint.h>

#include "connection/socket_trust.h"

struct service_address {
    char *path;                /* of its socket; NULL: a private supervisor, from which there is no way back */
    struct socket_trust trust; /* by which it was found; it holds later, too */
    uint32_t uid;              /* who listened there first: besides root the only one that is believed later */
};

/* `path` is copied, and `socket` connected to it; path NULL: private. 0 or -errno. */
int service_address_init(struct service_address *address, const char *path, const struct socket_trust *trust,
                         int socket);
void service_address_deinit(struct service_address *address);
/* A socket that is connected to one who is believed, or -errno. Waits for nothing. */
int service_address_connect(const struct service_address *address);

#endif
