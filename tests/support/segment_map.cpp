#include "segment_map.h"

#include <cstring>
#include <fcntl.h>
#include <sstream>
#include <stdexcept>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "processes.h"
#include "ring.h"

namespace berth::test {

std::vector<berth_segment_header *> mapped_segments() {
    std::vector<berth_segment_header *> found;
    std::istringstream maps(read_file("/proc/self/maps"));
    for (std::string line; std::getline(maps, line);) {
        unsigned long start, end, offset;
        char mode[8];
        if (line.find("memfd:berth-segment") != std::string::npos &&
            std::sscanf(line.c_str(), "%lx-%lx %7s %lx", &start, &end, mode, &offset) == 4 && offset == 0)
            found.push_back(reinterpret_cast<berth_segment_header *>(start));
    }
    return found;
}

RawSegment::RawSegment()
    : memfd_(::memfd_create("berth-hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING)),
      eventfd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), doorbell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    size_ = BERTH_SEGMENT_HEADER_SIZE + 3 * BERTH_RING_CAPACITY + BERTH_URGENT_CAPACITY;
    if (::ftruncate(memfd_, static_cast<off_t>(size_)) != 0)
        throw std::runtime_error("no segment");
    ::fcntl(memfd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    void *mapping = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, memfd_, 0);
    if (mapping == MAP_FAILED)
        throw std::runtime_error("no mapping");
    header_ = static_cast<berth_segment_header *>(mapping);
    header_->magic = BERTH_SEGMENT_MAGIC;
    header_->major = BERTH_SEGMENT_MAJOR_1;
    header_->segment_size = size_;
    header_->max_payload = BERTH_MAX_PAYLOAD;
    header_->max_in_flight = 64;
    uint64_t at = BERTH_SEGMENT_HEADER_SIZE;
    for (int ring = 0; ring < BERTH_RING_COUNT; ring++) {
        header_->rings[ring] = {at, ring == BERTH_RING_URGENT ? BERTH_URGENT_CAPACITY : BERTH_RING_CAPACITY};
        at += header_->rings[ring].capacity;
    }
}

RawSegment::~RawSegment() {
    ::munmap(header_, size_);
    for (int fd : fds())
        ::close(fd);
}

void RawSegment::publish(berth_ring_name ring, const berth_frame_header &frame, const std::string &payload) {
    uint64_t at = tails_[ring] & (header_->rings[ring].capacity - 1);
    std::memcpy(bytes(ring) + at, &frame, sizeof frame);
    std::memcpy(bytes(ring) + at + sizeof frame, payload.data(), payload.size());
    publish_tail(ring, tails_[ring] + berth_frame_span(static_cast<uint32_t>(payload.size())));
}

void RawSegment::publish_tail(berth_ring_name ring, uint64_t tail) {
    auto &control = header_->control[ring];
    tails_[ring] = tail;
    __atomic_store_n(&control.tail, tail, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&control.waiting, BERTH_AWAKE, __ATOMIC_SEQ_CST) == BERTH_ASLEEP_FUTEX)
        berth_ring_wake_futex(&control);
    uint64_t one = 1;
    if (::write(doorbell_, &one, sizeof one) != sizeof one)
        throw std::runtime_error("no doorbell");
}

} // namespace berth::test
