// The bare ping-pongs over shared memory.
//
// One 64-byte line each way: 60 bytes of payload and the turn's number, which the waiting side watches. That is the
// least that can cross between two cores, so it is the strictest limit: a request with header, payload and ring
// index crosses in three or four lines. The spinning side looks without `pause` at first, as berth does. The futex
// variant makes one FUTEX_WAKE and one FUTEX_WAIT a side and turn. Each end has a CPU of its own (pinned.h).
#include "bench/limits.h"

#include <cstring>
#include <sched.h>
#include <sys/mman.h>

#include "bench/child.h"
#include "bench/pinned.h"
#include "bench/timing.h"
#include "futex.h"
#include "spin.h"

namespace berth::cli {
namespace {

struct alignas(128) Line {
    uint8_t payload[60];
    uint32_t turn;
};

struct Page {
    Line there, back;
    alignas(128) uint32_t awake; // the spinning peer's: 0 sends it to sleep on this word
};

class SharedPage {
  public:
    SharedPage() {
        void *at = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            throw std::runtime_error("mmap failed");
        page_ = static_cast<Page *>(at);
    }
    SharedPage(const SharedPage &) = delete;
    SharedPage &operator=(const SharedPage &) = delete;
    ~SharedPage() { munmap(page_, sizeof(Page)); }
    Page *operator->() const { return page_; }

  private:
    Page *page_;
};

uint32_t load(const uint32_t &word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }

void put(Line &line, const uint8_t *payload, uint32_t turn) {
    memcpy(line.payload, payload, sizeof line.payload);
    __atomic_store_n(&line.turn, turn, __ATOMIC_RELEASE);
}

void take(const Line &line, uint8_t *payload) {
    memcpy(payload, line.payload, sizeof line.payload);
    asm volatile("" : : "r"(payload) : "memory"); // the copy is really made
}

struct Spinning {
    static void wake(Line &) {}
    // The yield is for a machine with one CPU, where the peer can only run when we do not.
    static void wait(const Line &line, uint32_t turn) {
        for (uint32_t looks = 1; load(line.turn) != turn; looks++) {
            if (looks > BERTH_SPIN_BLIND)
                berth_spin_pause();
            if (looks % 16384 == 0)
                sched_yield();
        }
    }
};

struct Sleeping {
    static void wake(Line &line) { berth_futex_wake(&line.turn, 1); }
    static void wait(Line &line, uint32_t turn) {
        while (load(line.turn) != turn)
            berth_futex_wait(&line.turn, turn - 1, 0);
    }
};

void set_awake(SharedPage &page, uint32_t awake) {
    __atomic_store_n(&page->awake, awake, __ATOMIC_SEQ_CST);
    if (awake)
        berth_futex_wake(&page->awake, 1);
}

void sleep_until_awake(SharedPage &page) {
    while (load(page->awake) == 0)
        berth_futex_wait(&page->awake, 0, 0);
}

template <class How> class LineLimit : public Limit {
  public:
    LineLimit() : child_([this] { serve(); }) {}

    void back_to_back(Histogram &samples, uint64_t duration_ns) override {
        Pinned here(End::Ours);
        set_awake(page_, 1);
        time_back_to_back(samples, duration_ns, [this] { trip(); });
        send_to_sleep();
    }

    void paced(Histogram &samples, int count, uint64_t pause) override {
        Pinned here(End::Ours);
        set_awake(page_, 1);
        time_paced(samples, count, pause, [this] { trip(); });
        send_to_sleep();
    }

  private:
    static constexpr uint8_t kSleep = 1; // payload's first byte: after this turn the peer sleeps on `awake`

    // A word of its own would be seen a turn too early or too late; in the payload it comes with its turn.
    void send_to_sleep() {
        set_awake(page_, 0);
        payload_[0] = kSleep;
        trip();
        payload_[0] = 0;
    }

    void trip() {
        turn_++;
        put(page_->there, payload_, turn_);
        How::wake(page_->there);
        How::wait(page_->back, turn_);
        take(page_->back, payload_);
    }

    [[noreturn]] void serve() {
        Pinned there(End::Peer);
        sleep_until_awake(page_);
        for (uint32_t turn = 1;; turn++) {
            How::wait(page_->there, turn);
            take(page_->there, payload_);
            put(page_->back, payload_, turn);
            How::wake(page_->back);
            if (payload_[0] == kSleep)
                sleep_until_awake(page_);
        }
    }

    SharedPage page_;
    alignas(64) uint8_t payload_[64] = {};
    uint32_t turn_ = 0;
    Child child_; // last: it starts with the rest in place
};

} // namespace

std::unique_ptr<Limit> make_spin_limit() { return std::make_unique<LineLimit<Spinning>>(); }
std::unique_ptr<Limit> make_futex_limit() { return std::make_unique<LineLimit<Sleeping>>(); }

} // namespace berth::cli
