#include "connection/control_socket.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/raw_io.h"

static uint64_t deadline_of(int timeout_ms) { return berth_now_ns() + (uint64_t)timeout_ms * 1000000u; }

int control_socket_try(const char *path) {
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    size_t len = strlen(path);
    if (len >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, len + 1);
    int fd = raw_above_stdio(raw_syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0, 0));
    if (fd < 0)
        return fd;
    long rc;
    do
        rc = raw_syscall(SYS_connect, fd, (long)&address, sizeof address, 0, 0);
    while (rc == -EINTR);
    if (rc < 0) {
        raw_close(fd);
        return (int)rc;
    }
    return fd;
}

int control_socket_peer(int socket, uint32_t *uid) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    long rc = raw_syscall(SYS_getsockopt, socket, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size);
    if (rc == 0)
        *uid = peer.uid;
    return (int)rc;
}

#define ROOM_FOR_IDS CMSG_SPACE(sizeof(struct ucred))

/* One more in `header`, whose room is large enough. */
static void add_control(struct msghdr *header, int type, const void *data, size_t size) {
    struct cmsghdr *c = (struct cmsghdr *)((char *)header->msg_control + header->msg_controllen);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), data, size);
    header->msg_controllen += CMSG_SPACE(size);
}

/* The ids by which this thread acts: what the kernel would send by itself are the real ones. 0: not to be had. */
static int effective_ids(struct ucred *ids) {
    long pid = raw_syscall(SYS_getpid, 0, 0, 0, 0, 0), uid = raw_syscall(SYS_geteuid, 0, 0, 0, 0, 0),
         gid = raw_syscall(SYS_getegid, 0, 0, 0, 0, 0);
    *ids = (struct ucred){(pid_t)pid, (uid_t)uid, (gid_t)gid};
    return pid > 0 && uid >= 0 && gid >= 0;
}

static long send_packet(int socket, const struct msghdr *header) {
    long rc;
    do
        rc = raw_syscall(SYS_sendmsg, socket, (long)header, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
    while (rc == -EINTR);
    return rc;
}

int control_socket_send(int socket, const struct berth_control_message *message, const int *fds, uint32_t fd_count) {
    uint8_t packet[4096];
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(BERTH_CONTROL_MAX_FDS * sizeof(int)) + ROOM_FOR_IDS];
    struct ucred ids;
    long size = berth_control_encode(message, packet, sizeof packet);
    if (size < 0)
        return (int)size;
    struct iovec body = {packet, (size_t)size};
    struct msghdr header;
    memset(&header, 0, sizeof header);
    memset(room, 0, sizeof room);
    header.msg_iov = &body;
    header.msg_iovlen = 1;
    header.msg_control = room;
    if (fd_count)
        add_control(&header, SCM_RIGHTS, fds, fd_count * sizeof(int));
    struct msghdr named = header;
    long rc = -EINVAL;
    if (effective_ids(&ids)) {
        add_control(&named, SCM_CREDENTIALS, &ids, sizeof ids);
        rc = send_packet(socket, &named);
    }
    if (rc == -EINVAL || rc == -EPERM || rc == -ESRCH) /* not taken for ours, as in a namespace without names for them */
        rc = send_packet(socket, &header);
    return rc < 0 ? (int)rc : 0;
}

static int wait_to_read(int socket, uint64_t deadline_ns) {
    struct pollfd poll = {socket, POLLIN, 0};
    return raw_poll(&poll, 1, deadline_ns) > 0;
}

static void take_fds(struct msghdr *header, struct control_packet *packet) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            fd = raw_above_stdio(fd);
            if (fd < 0)
                packet->fds_lost = 1;
            else if (packet->fd_count < BERTH_CONTROL_MAX_FDS + 1)
                packet->fds[packet->fd_count++] = fd;
            else
                raw_close(fd);
        }
    }
}

static void close_fds(struct control_packet *packet) {
    for (uint32_t i = 0; i < packet->fd_count; i++)
        raw_close(packet->fds[i]);
    packet->fd_count = 0;
}

/* A process without a free descriptor gets the packet and not what came with it: one, in all that a supervisor sends.
 */
static int decode(struct control_packet *packet, size_t size, int cut_short) {
    packet->fds_lost |= cut_short;
    if (packet->fds_lost)
        close_fds(packet);
    return berth_control_decode(packet->bytes, size, packet->fds_lost ? 1 : packet->fd_count, &packet->message,
                                packet->why, sizeof packet->why);
}

int control_socket_receive(int socket, struct control_packet *packet, int timeout_ms) {
    _Alignas(struct cmsghdr) char room[CMSG_SPACE((BERTH_CONTROL_MAX_FDS + 1) * sizeof(int))];
    struct iovec body = {packet->bytes, sizeof packet->bytes};
    struct msghdr header;
    memset(&header, 0, sizeof header);
    header.msg_iov = &body;
    header.msg_iovlen = 1;
    header.msg_control = room;
    header.msg_controllen = sizeof room;
    packet->fd_count = 0;
    packet->fds_lost = 0;
    packet->why[0] = 0;
    uint64_t deadline = timeout_ms ? deadline_of(timeout_ms) : 0;
    long size;
    do
        size = raw_syscall(SYS_recvmsg, socket, (long)&header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, 0, 0);
    while (size == -EINTR || (size == -EAGAIN && deadline && wait_to_read(socket, deadline)));
    if (size == -EAGAIN)
        return 0;
    if (size < 0)
        return -ECONNRESET;
    take_fds(&header, packet);
    int rc = size ? -EBADMSG : -ECONNRESET; /* an empty packet looks like the end, and is none that we send */
    if (size == 0)
        packet->why[0] = 0;
    else if (header.msg_flags & MSG_TRUNC)
        snprintf(packet->why, sizeof packet->why, "a packet that is too large");
    else
        rc = decode(packet, (size_t)size, (header.msg_flags & MSG_CTRUNC) != 0);
    if (rc)
        close_fds(packet);
    return rc ? rc : 1;
}
