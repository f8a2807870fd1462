/* The path by which the kernel finds what a descriptor is open on, whatever has become of its name. */
#ifndef BERTH_FD_LINK_H
#define BERTH_FD_LINK_H

#include <stdio.h>

#define FD_LINK_BYTES 40

/* Where there is a /proc. A thread may have descriptors of its own. */
static inline void fd_link(char link[FD_LINK_BYTES], int fd) {
    snprintf(link, FD_LINK_BYTES, "/proc/thread-self/fd/%d", fd);
}

#endif
