#include "segment.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "raw_io.h"

static const uint64_t total = BERTH_SEGMENT_HEADER_SIZE + 3 * BERTH_RING_CAPACITY + BERTH_URGENT_CAPACITY;

/* Into memory that is zero. */
static void write_header(struct berth_segment_header *header, uint32_t max_in_flight) {
    header->magic = BERTH_SEGMENT_MAGIC;
    header->major = BERTH_SEGMENT_MAJOR;
    header->minor = BERTH_SEGMENT_MINOR;
    header->segment_size = total;
    header->max_payload = BERTH_MAX_PAYLOAD;
    header->max_in_flight = max_in_flight;
    for (int ring = 0; ring < BERTH_RING_COUNT; ring++) {
        header->rings[ring].offset = segment_ring_offset((enum berth_ring_name)ring);
        header->rings[ring].capacity = ring == BERTH_RING_URGENT ? BERTH_URGENT_CAPACITY : BERTH_RING_CAPACITY;
    }
}

int segment_make(int *out_fd) {
    /* Past RLIMIT_FSIZE the kernel answers ftruncate with a SIGXFSZ, which would be the host's. */
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < total)
        return -EFBIG;
    long fd = raw_syscall(SYS_memfd_create, (long)"berth-segment", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0);
    if (fd < 0)
        return (int)fd;
    long rc = raw_syscall(SYS_ftruncate, fd, (long)total, 0, 0, 0);
    if (rc == 0)
        rc = raw_syscall(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0, 0);
    if (rc < 0)
        raw_close((int)fd);
    else
        *out_fd = (int)fd;
    return rc < 0 ? (int)rc : 0;
}

static int map_at(struct segment *segment, void *where, uint32_t max_in_flight, int fd) {
    int saved = errno;
    void *map = mmap(where, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | (where ? MAP_FIXED : 0), fd, 0);
    int rc = map == MAP_FAILED ? -errno : 0;
    if (rc == 0) {
        madvise(map, total, MADV_DONTFORK);
        segment->header = map;
        segment->size = total;
        write_header(map, max_in_flight);
    }
    errno = saved;
    return rc;
}

int segment_replace(struct segment *segment, uint32_t max_in_flight, int fd) {
    return map_at(segment, segment->header, max_in_flight, fd);
}

int segment_create(struct segment *segment, uint32_t max_in_flight, int *out_fd) {
    int fd, rc = segment_make(&fd);
    if (rc < 0)
        return rc;
    rc = map_at(segment, NULL, max_in_flight, fd);
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
