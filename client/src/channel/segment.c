#include "channel/segment.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/raw_io.h"

#define total berth_default_size(BERTH_SEGMENT_MAJOR)

/* Into memory that is zero. */
static void write_header(struct berth_segment_header *header) {
    header->magic = BERTH_SEGMENT_MAGIC;
    header->major = BERTH_SEGMENT_MAJOR;
    header->minor = BERTH_SEGMENT_MINOR;
    header->segment_size = total;
    header->max_payload = BERTH_MAX_PAYLOAD;
    for (int ring = 0; ring < BERTH_RING_COUNT; ring++) {
        header->rings[ring].offset = berth_default_offset(BERTH_SEGMENT_MAJOR, (uint32_t)ring);
        header->rings[ring].capacity = berth_default_capacity((uint32_t)ring);
    }
}

int segment_make(int *out_fd) {
    /* Past RLIMIT_FSIZE the kernel answers ftruncate with a SIGXFSZ, which would be the host's. */
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < total)
        return -EFBIG;
    int fd =
        raw_above_stdio(raw_syscall(SYS_memfd_create, (long)"berth-segment", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0));
    if (fd < 0)
        return fd;
    long rc = raw_syscall(SYS_ftruncate, fd, (long)total, 0, 0, 0);
    if (rc == 0)
        rc = raw_syscall(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0, 0);
    if (rc < 0)
        raw_close(fd);
    else
        *out_fd = fd;
    return rc < 0 ? (int)rc : 0;
}

/* In a host that has its memory locked, mmap would read every page into being, and keep it: 192 MiB for a context
 * that is idle. One that becomes accessible later gets its pages when they are touched. */
static void *map_sparse(int fd) {
    void *map = mmap(NULL, total, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map, total, PROT_READ | PROT_WRITE) != 0) {
        munmap(map, total);
        return NULL;
    }
    madvise(map, total, MADV_DONTFORK);
    madvise(map, total, MADV_DONTDUMP); /* a core would have all its pages, too */
    return map;
}

/* `where` NULL: anywhere; else in place of what is mapped there, in a single step. */
static int map_at(struct segment *segment, void *where, int fd) {
    int saved = errno;
    void *map = map_sparse(fd);
    int rc = map ? 0 : -errno;
    if (map)
        write_header(map);
    if (map && where && mremap(map, total, total, MREMAP_MAYMOVE | MREMAP_FIXED, where) == MAP_FAILED) {
        rc = -errno;
        munmap(map, total);
    }
    if (rc == 0 && !where) { /* else it stays, and others look at it */
        segment->header = map;
        segment->size = total;
    }
    errno = saved;
    return rc;
}

int segment_replace(struct segment *segment, int fd) { return map_at(segment, segment->header, fd); }

int segment_create(struct segment *segment, int *out_fd) {
    int fd, rc = segment_make(&fd);
    if (rc < 0)
        return rc;
    rc = map_at(segment, NULL, fd);
    if (rc < 0)
        raw_close(fd);
    else
        *out_fd = fd;
    return rc;
}

void segment_destroy(struct segment *segment) {
    int saved = errno;
    if (segment->header)
        munmap(segment->header, segment->size);
    segment->header = NULL;
    errno = saved;
}
