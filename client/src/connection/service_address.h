/* Where a client's service listens, and who does: the way back to it, should its supervisor die. */
#ifndef BERTH_SERVICE_ADDRESS_H
#define BERTH_SERVICE_ADDRESS_H

#include <stdint.h>

struct service_address {
    char *path;   /* of its socket; NULL: a private supervisor, from which there is no way back */
    uint32_t uid; /* who listened there first: besides root the only one that is believed later */
};

/* `path` is copied, and `socket` connected to it; path NULL: private. 0 or -errno. */
int service_address_init(struct service_address *address, const char *path, int socket);
void service_address_deinit(struct service_address *address);
/* Whether a socket that is connected to the path leads to one who is believed. */
int service_address_is_trusted(const struct service_address *address, int socket);

#endif
