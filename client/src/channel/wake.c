#include "channel/wake.h"

#include "base/raw_io.h"

#define TAKE_BYTES 512
#define DRAIN_MOST 16

int wake_init(struct wake *wake) {
    int ends[2] = {-1, -1};
    long rc = raw_syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, (long)ends, 0);
    wake->poll_fd = raw_above_stdio(ends[0]);
    wake->worker_end = raw_above_stdio(ends[1]);
    if (rc < 0)
        return (int)rc;
    if (wake->poll_fd < 0)
        return wake->poll_fd;
    return wake->worker_end < 0 ? wake->worker_end : 0;
}

void wake_deinit(struct wake *wake) {
    raw_close(wake->poll_fd);
    raw_close(wake->worker_end);
}

/* Without room there are wakeups enough. */
static void send_byte(int end) {
    uint8_t byte = 1;
    raw_send(end, &byte, sizeof byte);
}

void wake_worker(struct wake *wake) { send_byte(wake->poll_fd); }
void wake_host(struct wake *wake) { send_byte(wake->worker_end); }

int wake_take(struct wake *wake) {
    uint8_t bytes[TAKE_BYTES];
    long taken = raw_receive(wake->poll_fd, bytes, sizeof bytes);
    return taken > 0 ? 1 : taken == 0 || (taken != -EAGAIN && taken != -EINTR) ? -1 : 0;
}

void wake_drain(struct wake *wake) {
    for (int left = DRAIN_MOST; left && wake_take(wake) > 0; left--) {
    }
}
