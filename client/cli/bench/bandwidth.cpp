#include "bench/bandwidth.h"

#include <cstring>
#include <sched.h>
#include <stdexcept>
#include <sys/mman.h>
#include <vector>

#include "bench/child.h"
#include "bench/pinned.h"
#include "bench/timing.h"
#include "futex.h"
#include "spin.h"

namespace berth::cli {
namespace {

struct Shared {
    alignas(128) uint32_t there; // the turn whose payload stands in `request`; kIdle: sleep on this word
    alignas(128) uint32_t back;
    alignas(128) uint64_t size;
    alignas(4096) uint8_t request[kLargestPayload];
    uint8_t reply[kLargestPayload];
};

constexpr uint32_t kIdle = 0;

uint32_t load(const uint32_t &word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }

void wait_for(const uint32_t &word, uint32_t turn) {
    for (uint32_t looks = 1; load(word) != turn; looks++)
        if (looks % 16384 == 0)
            sched_yield();
}

class AcrossCores : public MemcpyLimit {
  public:
    AcrossCores() : request_(kLargestPayload, 1), reply_(kLargestPayload, 1), child_([this] { serve(); }) {}
    ~AcrossCores() override { munmap(shared_, sizeof(Shared)); }

    double mb_s(size_t size, uint64_t duration_ns) override {
        Pinned here(End::Ours);
        shared_->size = size;
        uint32_t turn = kIdle;
        double trips = rate_per_s(duration_ns, [&] {
            trip(size, ++turn);
            return 1;
        });
        set(shared_->there, kIdle);
        wait_for(shared_->back, kIdle);
        return trips * kEchoCopies * static_cast<double>(size) / 1e6;
    }

  private:
    static void set(uint32_t &word, uint32_t value) { __atomic_store_n(&word, value, __ATOMIC_SEQ_CST); }

    void trip(size_t size, uint32_t turn) {
        memcpy(shared_->request, request_.data(), size);
        set(shared_->there, turn);
        if (turn == kIdle + 1)
            berth_futex_wake(&shared_->there, 1);
        wait_for(shared_->back, turn);
        memcpy(reply_.data(), shared_->reply, size);
        asm volatile("" : : "r"(reply_.data()) : "memory"); // the copy is really made
    }

    [[noreturn]] void serve() {
        Pinned there(End::Peer);
        for (;;) {
            while (load(shared_->there) == kIdle)
                berth_futex_wait(&shared_->there, kIdle, 0);
            for (uint32_t turn = 1; answer(turn); turn++) {
            }
        }
    }

    bool answer(uint32_t turn) {
        uint32_t seen;
        for (uint32_t looks = 1; (seen = load(shared_->there)) != turn && seen != kIdle; looks++)
            if (looks % 16384 == 0)
                sched_yield();
        if (seen == turn)
            memcpy(shared_->reply, shared_->request, shared_->size);
        set(shared_->back, seen);
        return seen == turn;
    }

    static Shared *map() {
        void *at = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            throw std::runtime_error("mmap failed");
        return static_cast<Shared *>(at);
    }

    Shared *shared_ = map();
    std::vector<uint8_t> request_, reply_;
    Child child_; // last: it starts with the rest in place
};

} // namespace

std::unique_ptr<MemcpyLimit> make_memcpy_limit() { return std::make_unique<AcrossCores>(); }

double memcpy_local_mb_s(size_t size, uint64_t duration_ns) {
    static std::vector<uint8_t> from(kLargestPayload, 1), to(kLargestPayload, 1);
    size_t batch = size < 262144 ? 262144 / size : 1;
    double copies = rate_per_s(duration_ns, [&] {
        for (size_t i = 0; i < batch; i++) {
            memcpy(to.data(), from.data(), size);
            asm volatile("" : : "r"(to.data()) : "memory");
        }
        return batch;
    });
    return copies * static_cast<double>(size) / 1e6;
}

} // namespace berth::cli
