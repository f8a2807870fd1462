// Producer and consumer over one memory, and a third hand that scribbles over all of it. Without scribbling every
// frame arrives in order and whole, and each wakeup is due exactly once; with it, nothing leaves the memory. Now and
// then the producer reserves and gives up.
// Input: log2 of the capacity, then operations (see run()).
#include <deque>
#include <memory>

#include "fuzz.h"
#include "ring.h"

namespace {

struct Sent {
    uint32_t size;
    uint64_t id;
};

// A byte that differs from frame to frame, and its complement at the end. By memset and memcmp: a target must be fast.
void fill(uint8_t *payload, uint32_t size, uint64_t id) {
    auto byte = static_cast<uint8_t>(id * 31);
    if (size)
        std::memset(payload, byte, size);
    if (size)
        payload[size - 1] = static_cast<uint8_t>(~byte);
}

bool filled(const uint8_t *payload, uint32_t size, uint64_t id) {
    auto byte = static_cast<uint8_t>(id * 31);
    if (size && payload[size - 1] != static_cast<uint8_t>(~byte))
        return false;
    return size < 2 || (payload[0] == byte && (size == 2 || std::memcmp(payload, payload + 1, size - 2) == 0));
}

class Script {
  public:
    explicit Script(Input input) : input_(input) {
        capacity_ = uint64_t{1} << (12 + input_.number(1) % 9); // 4 KiB to 1 MiB
        bytes_.reset(static_cast<uint8_t *>(std::calloc(1, capacity_)));
        control_.reset(static_cast<berth_ring_control *>(std::calloc(1, sizeof(berth_ring_control))));
        berth_ring_attach_producer(&p_, control_.get(), bytes_.get(), capacity_);
        berth_ring_attach_consumer(&c_, control_.get(), bytes_.get(), capacity_);
    }

    void run() {
        for (int step = 0; step < 4000 && !input_.empty(); step++)
            switch (input_.number(1) % 9) {
            case 0: produce(static_cast<uint32_t>(input_.number(1))); break;
            case 1: produce(static_cast<uint32_t>(input_.number(2) * 8)); break;
            case 2: consume(1); break;
            case 3: consume(1000); break;
            case 4: prepare(1 + static_cast<uint32_t>(input_.number(1) % 2)); break;
            case 5: finish(); break;
            case 6: scribble(reinterpret_cast<uint8_t *>(control_.get()), sizeof *control_); break;
            case 7: scribble(bytes_.get(), capacity_); break;
            case 8: reserve(static_cast<uint32_t>(input_.number(2) * 8)); break;
            }
        consume(1000);
        consume(scribbled_ ? 0 : 4000);
        MUST(scribbled_ || sent_.empty());
    }

  private:
    struct Free {
        void operator()(void *p) const { std::free(p); }
    };

    uint8_t *reserve(uint32_t size) {
        uint8_t *payload = nullptr;
        if (producer_broke_ || berth_frame_span(size) > capacity_ / 2 - 2 * BERTH_FRAME_ALIGN)
            return nullptr;
        int rc = berth_ring_reserve(&p_, size, &payload);
        MUST(rc == 0 || rc == -ENOSPC || (rc == -EBADMSG && scribbled_));
        MUST(scribbled_ || rc == 0 || !sent_.empty()); // an empty ring takes any frame
        producer_broke_ = rc == -EBADMSG;
        MUST(p_.run_count >= 1 && p_.run_count <= BERTH_RING_RUNS && p_.high_water <= capacity_);
        if (rc)
            return nullptr;
        // Behind it there is always room for a JUMP.
        MUST(payload >= bytes_.get() + BERTH_FRAME_HEADER_SIZE);
        MUST(berth_frame_span(size) + BERTH_FRAME_ALIGN - BERTH_FRAME_HEADER_SIZE <=
             static_cast<uint64_t>(bytes_.get() + capacity_ - payload));
        return payload;
    }

    void produce(uint32_t size) {
        uint8_t *payload = reserve(size);
        if (!payload)
            return;
        fill(payload, size, next_id_);
        berth_frame_header header{};
        header.size = size;
        header.kind = BERTH_FRAME_REQUEST;
        header.id = next_id_++;
        header.code = ~size;
        sent_.push_back({size, header.id});
        uint32_t due = berth_ring_commit(&p_, &header);
        MUST(scribbled_ || due == waiting_);
        waiting_ = BERTH_AWAKE;
    }

    void consume(int most) {
        berth_frame_header header;
        const uint8_t *payload = nullptr;
        for (int i = 0; i < most && !consumer_broke_; i++) {
            int rc = berth_ring_peek(&c_, &header, &payload);
            MUST(rc == 0 || rc == 1 || (rc == -EBADMSG && scribbled_));
            MUST(scribbled_ || (rc == 1) == !sent_.empty());
            consumer_broke_ = rc == -EBADMSG;
            if (rc != 1)
                return;
            check(header, payload);
            berth_ring_advance(&c_);
        }
    }

    void check(const berth_frame_header &header, const uint8_t *payload) {
        bool right = filled(payload, header.size, header.id);
        if (scribbled_)
            return;
        MUST(right && header.id == sent_.front().id && header.size == sent_.front().size);
        MUST(header.kind == BERTH_FRAME_REQUEST && header.code == ~header.size);
        sent_.pop_front();
    }

    void prepare(uint32_t how) {
        int sleep = berth_ring_prepare_wait(&c_, how);
        MUST(scribbled_ || sleep == static_cast<int>(sent_.empty()));
        waiting_ = sleep ? how : static_cast<uint32_t>(BERTH_AWAKE);
    }

    void finish() {
        uint32_t was = berth_ring_finish_wait(&c_);
        MUST(scribbled_ || was == waiting_);
        waiting_ = BERTH_AWAKE;
    }

    void scribble(uint8_t *memory, uint64_t size) {
        uint64_t at = input_.number(3) % size;
        scribbled_ = true;
        memory[at] = static_cast<uint8_t>(input_.number(1));
    }

    Input input_;
    uint64_t capacity_;
    std::unique_ptr<uint8_t, Free> bytes_;
    std::unique_ptr<berth_ring_control, Free> control_;
    berth_ring_producer p_;
    berth_ring_consumer c_;
    std::deque<Sent> sent_;
    uint64_t next_id_ = 1;
    uint32_t waiting_ = BERTH_AWAKE;
    bool scribbled_ = false, producer_broke_ = false, consumer_broke_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Script(Input(data, size)).run();
    return 0;
}
