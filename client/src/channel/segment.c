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

/* Without access: in a host that has its memory locked, mmap would read every page into being, and keep it, 192 MiB for
 * a context that is idle. One that becomes accessible later gets its pages when they are touched. */
static void *map_reserved(int fd) {
    void *map = mmap(NULL, total, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    madvise(map, total, MADV_DONTFORK);
    madvise(map, total, MADV_DONTDUMP); /* a core would have all its pages, too */
    return map;
}

static int begin(void *map) {
    if (mprotect(map, total, PROT_READ | PROT_WRITE) != 0)
        return -errno;
    write_header(map);
    return 0;
}

int segment_replace(struct segment *segment, int fd) {
    int saved = errno;
    void *map = map_reserved(fd);
    int rc = map ? begin(map) : -errno;
    if (rc == 0 && mremap(map, total, total, MREMAP_MAYMOVE | MREMAP_FIXED, segment->header) == MAP_FAILED)
        rc = -errno;
    if (rc && map)
        munmap(map, total);
    errno = saved;
    return rc;
}

int segment_reserve(struct segment *segment, int *out_fd) {
    int saved = errno, fd, rc = segment_make(&fd);
    if (rc < 0)
        return rc;
    void *map = map_reserved(fd);
    rc = map ? 0 : -errno;
    if (map) {
        *segment = (struct segment){map, total};
        *out_fd = fd;
    } else {
        raw_close(fd);
    }
    errno = saved;
    return rc;
}

int segment_begin(struct segment *segment) {
    int saved = errno, rc = begin(segment->header);
    errno = saved;
    return rc;
}

void segment_destroy(struct segment *segment) {
    int saved = errno;
    if (segment->header)
        munmap(segment->header, segment->size);
    segment->header = NULL;
    errno = saved;
}
