#include "segment.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "raw_io.h"

static const uint64_t total = BERTH_SEGMENT_HEADER_SIZE + 3 * BERTH_RING_CAPACITY + BERTH_URGENT_CAPACITY;

static void write_header(struct segment *segment, uint32_t max_in_flight) {
    struct berth_segment_header *header = segment->header;
    header->magic = BERTH_SEGMENT_MAGIC;
    header->major = BERTH_SEGMENT_MAJOR;
    header->minor = BERTH_SEGMENT_MINOR;
    header->segment_size = segment->size;
    header->max_payload = BERTH_MAX_PAYLOAD;
    header->max_in_flight = max_in_flight;
    for (int ring = 0; ring < BERTH_RING_COUNT; ring++) {
        uint64_t capacity;
        uint8_t *bytes = segment_ring(segment, (enum berth_ring_name)ring, &capacity);
        header->rings[ring].offset = (uint64_t)(bytes - (uint8_t *)header);
        header->rings[ring].capacity = capacity;
    }
}

static int seal_and_map(struct segment *segment, int fd) {
    long rc = raw_syscall(SYS_ftruncate, fd, (long)total, 0, 0, 0);
    if (rc == 0)
        rc = raw_syscall(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0, 0);
    if (rc < 0)
        return (int)rc;
    int saved = errno;
    void *map = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    rc = map == MAP_FAILED ? -errno : 0;
    if (rc == 0)
        madvise(map, total, MADV_DONTFORK);
    errno = saved;
    segment->header = map;
    segment->size = total;
    return (int)rc;
}

int segment_create(struct segment *segment, uint32_t max_in_flight, int *out_fd) {
    /* Past RLIMIT_FSIZE the kernel answers ftruncate with a SIGXFSZ, which would be the host's. */
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < total)
        return -EFBIG;
    long fd = raw_syscall(SYS_memfd_create, (long)"berth-segment", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0);
    if (fd < 0)
        return (int)fd;
    int rc = seal_and_map(segment, (int)fd);
    if (rc < 0) {
        raw_close((int)fd);
        return rc;
    }
    write_header(segment, max_in_flight);
    *out_fd = (int)fd;
    return 0;
}

void segment_destroy(struct segment *segment) {
    int saved = errno;
    if (segment->header)
        munmap(segment->header, segment->size);
    segment->header = NULL;
    errno = saved;
}
