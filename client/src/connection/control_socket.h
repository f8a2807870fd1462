/* The control connection's packets, from the client's side. */
#ifndef BERTH_CONTROL_SOCKET_H
#define BERTH_CONTROL_SOCKET_H

#include "control.h"

struct control_packet {
    struct berth_control_message message; /* points into bytes */
    int fds[BERTH_CONTROL_MAX_FDS + 1];
    uint32_t fd_count;
    int fds_lost; /* this process had no descriptor free for what came along */
    char why[160];
    uint8_t bytes[BERTH_CONTROL_MAX_PACKET];
};

/* A connected SEQPACKET socket to `path`, or -errno; -EAGAIN: the listener is behind. */
int control_socket_try(const char *path);
/* Who listens there, or did when it began. 0 or -errno. */
int control_socket_peer(int socket, uint32_t *uid);

/* Sends, and waits for nothing; a connection's first packet finds room. Descriptors stay the caller's. 0, -EAGAIN: no
 * room now, or -errno. */
int control_socket_send(int socket, const struct berth_control_message *message, const int *fds, uint32_t fd_count);

/* Receives one packet within `timeout_ms` (0: only what is there). 1 a message, whose descriptors are the caller's;
 * 0 nothing; -ECONNRESET the end; -EBADMSG with `why`. */
int control_socket_receive(int socket, struct control_packet *packet, int timeout_ms);

#endif
