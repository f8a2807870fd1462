#include "made_up_worker.h"

#include <doctest/doctest.h>
#include <set>

#include "status.h"

using namespace berth::test;

namespace {

constexpr uint64_t kMs = 1000000;

request_options blocking(berth_reply *reply) { return {.kind = REQUEST_BLOCKING, .reply = reply}; }
request_options polled(void *user_data = nullptr) { return {.kind = REQUEST_POLL, .user_data = user_data}; }
request_options pinged() {
    request_options options = polled();
    options.submitted_ns = berth_now_ns();
    options.stale_warn_ns = options.next_ping_ns = 1;
    return options;
}

std::string text_of(const completion *from) {
    return {reinterpret_cast<const char *>(from->data), from->len};
}

uint32_t state_of(const request *request) { return request_state_of(request_load(request)); }

// A worker that has a PROGRESS frame for whoever looks, for ever: it does not write them, it says that they are there.
class Flood {
public:
    Flood(Channel &channel, uint64_t id) : control_(&channel.c->segment.header->control[BERTH_RING_REPLY]) {
        uint64_t capacity;
        uint8_t *bytes = segment_ring(&channel.c->segment, BERTH_RING_REPLY, &capacity);
        berth_frame_header progress = {0, BERTH_FRAME_PROGRESS, 0, id, 0, 0, 0};
        berth_frame_header jump = {0, BERTH_FRAME_JUMP, 0, 0, 0, 0, 0};
        for (uint64_t at = 0; at < kFrames; at++)
            std::memcpy(bytes + at * BERTH_FRAME_ALIGN, &progress, sizeof progress);
        std::memcpy(bytes + kFrames * BERTH_FRAME_ALIGN, &jump, sizeof jump);
        ahead_ = capacity / kTurn - 2;
        rise();
        thread_ = std::thread([this] {
            while (!stop_)
                rise();
        });
    }
    ~Flood() {
        stop_ = true;
        thread_.join();
    }

private:
    void rise() {
        uint64_t head = __atomic_load_n(&control_->head, __ATOMIC_ACQUIRE);
        uint64_t turn = head / kTurn + ahead_; // ends behind the last frame of a round
        __atomic_store_n(&control_->tail, turn * kTurn - BERTH_FRAME_ALIGN, __ATOMIC_SEQ_CST);
        berth_ring_kick(control_);
    }

    static constexpr uint64_t kFrames = 1024, kTurn = (kFrames + 1) * BERTH_FRAME_ALIGN;
    berth_ring_control *control_;
    uint64_t ahead_; // in rounds: as far as may be, so that a reader does not catch up with a thread that has to wait
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

} // namespace

TEST_CASE("a caller reads its own answer, and gives its slot back") {
    Channel channel;
    REQUIRE(channel.ok);
    MadeUpWorker worker(channel);
    berth_reply reply{};
    request *request = channel.submit(blocking(&reply));
    REQUIRE(request);
    std::thread other([&] { worker.answer(worker.take(), "there"); });
    CHECK(channel_wait(channel.c, request, 0) == 1);
    other.join();
    CHECK(reply.ret == BERTH_RET_OK);
    CHECK(std::string(reinterpret_cast<const char *>(reply.data), reply.len) == "there");
    CHECK(state_of(request) == REQUEST_DONE);
    slots_free(&channel.c->slots, request);
    CHECK_FALSE(slots_any_in_flight(&channel.c->slots));
}

TEST_CASE("a ping claims what was submitted, and never what a caller waits for") {
    Channel channel;
    berth_reply reply{};
    request *waited = channel.submit(blocking(&reply)), *submitted = channel.submit(pinged());
    REQUIRE(waited);
    REQUIRE(submitted);
    uint64_t word = request_load(waited);
    CHECK(channel_ping(channel.c, berth_now_ns() + 5 * kMs) != 0);
    CHECK(request_load(waited) == word);
    CHECK(state_of(submitted) == REQUEST_PENDING);
    completion *ping = channel.take_reaped();
    REQUIRE(ping);
    CHECK(ping->kind == BERTH_PROGRESS);
    CHECK(ping->id == request_id(submitted));
    completion_free(ping);
    CHECK(channel.take_reaped() == nullptr);
}

TEST_CASE("a claim names generation and kinds: no later request in the slot, and no other's business") {
    Channel channel(1);
    MadeUpWorker worker(channel);
    uint64_t first = 0, second = 0, seen;
    request *request = channel.submit(polled(), &first);
    REQUIRE(request);
    worker.answer(worker.take(), "x");
    REQUIRE(channel.drain() == 1);
    REQUIRE(channel.submit(polled(), &second) == request);
    REQUIRE(static_cast<uint32_t>(first) == static_cast<uint32_t>(second));
    CHECK(request_claim(request, static_cast<uint32_t>(first >> 32), REQUEST_ANY_KIND, &seen) == 0);
    CHECK(request_claim(request, static_cast<uint32_t>(second >> 32), REQUEST_BLOCKS, &seen) == 0);
    CHECK(state_of(request) == REQUEST_PENDING);
    CHECK(request_claim(request, static_cast<uint32_t>(second >> 32), REQUEST_SUBMITTED, &seen) == 1);
    CHECK(state_of(request) == REQUEST_CLAIMED);
}

TEST_CASE("one that was given up keeps its slot until the worker's answer has come, and is then free for another") {
    Channel channel(1);
    MadeUpWorker worker(channel);
    berth_reply reply{};
    uint64_t seen;
    int ret;
    request *request = channel.submit(blocking(&reply));
    REQUIRE(request);
    CHECK(channel_wait(channel.c, request, berth_now_ns() + kMs) == 0);
    REQUIRE(request_claim(request, request_generation_of(request_load(request)), REQUEST_BLOCKS, &seen));
    request_move(request, REQUEST_ABANDONED);
    CHECK(channel.submit(polled(), nullptr, &ret) == nullptr);
    CHECK(ret == BERTH_RET_BUSY);
    worker.answer(worker.take(), "late");
    CHECK(channel.submit(polled(), nullptr, &ret) == request); // reads the late answer itself
    CHECK(reply.data == nullptr);
}

TEST_CASE("what is said of a request gives way to what is said later, until it is fetched") {
    Channel channel;
    MadeUpWorker worker(channel);
    uint64_t id = 0;
    REQUIRE(channel.submit(pinged(), &id));
    for (const char *text : {"one", "two", "three"})
        REQUIRE(worker.send(BERTH_FRAME_PROGRESS, id, 0, text) == 0);
    REQUIRE(channel.drain() == 3);
    completion *first = channel.take_reaped();
    REQUIRE(first);
    CHECK(text_of(first) == "three");
    CHECK(channel.take_reaped() == nullptr);
    REQUIRE(worker.send(BERTH_FRAME_PROGRESS, id, 0, "four") == 0);
    REQUIRE(worker.answer(id, "done") == 0);
    REQUIRE(channel.drain() == 2);
    CHECK(text_of(first) == "three"); // it is its reader's, and no longer touched
    completion *second = channel.take_reaped(), *answer = channel.take_reaped();
    REQUIRE(second);
    REQUIRE(answer);
    CHECK(text_of(second) == "four");
    CHECK(answer->kind == BERTH_REPLY);
    CHECK(channel.c->outbox.bytes == 0);
    for (completion *each : {first, second, answer})
        completion_free(each);
}

TEST_CASE("a caller is back at its deadline, whatever the worker goes on to send") {
    Channel channel;
    berth_reply reply{};
    uint64_t id = 0;
    REQUIRE(channel.submit(pinged(), &id));
    request *request = channel.submit(blocking(&reply));
    REQUIRE(request);
    Flood flood(channel, id);
    CHECK(channel_wait(channel.c, request, berth_now_ns() + 20 * kMs) == 0);
    CHECK(completion_count(&channel.c->outbox.for_reap) <= 1);
}

TEST_CASE("a settle ends, whatever a worker that is not dead goes on to send, and answers everything once") {
    Channel channel;
    berth_reply reply{};
    uint64_t id = 0;
    REQUIRE(channel.submit(pinged(), &id));
    request *waited = channel.submit(blocking(&reply));
    REQUIRE(waited);
    {
        Flood flood(channel, id);
        channel.give_verdict(BERTH_RET_WORKER_DIED, "gone");
        channel_settle_now(channel.c);
        CHECK(verdict_is_settled(&channel.c->verdict));
    }
    CHECK(state_of(waited) == REQUEST_DONE);
    CHECK(reply.ret == BERTH_RET_WORKER_DIED);
    int answers = 0;
    for (completion *next; (next = channel.take_reaped()); completion_free(next))
        answers += next->kind == BERTH_REPLY && next->ret == BERTH_RET_WORKER_DIED;
    CHECK(answers == 1);
    CHECK(channel.owner.settled == 1);
    CHECK(channel.owner.over == 1);
}

TEST_CASE("answers that nobody fetches stay in the ring once there are too many, and come when there is room") {
    Channel channel(8);
    MadeUpWorker worker(channel);
    const std::string large(15u << 20, 'x');
    for (int i = 0; i < 6; i++)
        REQUIRE(channel.submit(polled()));
    for (int i = 0; i < 4; i++)
        REQUIRE(worker.answer(worker.take(), large) == 0);
    CHECK(channel.drain() == 4);
    REQUIRE(worker.answer(worker.take(), large) == 0);
    CHECK(channel.drain() == 0);
    CHECK(channel.c->outbox.bytes <= OUTBOX_BYTES);
    completion_free(channel.take_reaped());
    CHECK(channel.drain() == 1);
    berth_reply reply{};
    request *behind = channel.submit(blocking(&reply));
    REQUIRE(behind);
    REQUIRE(worker.answer(worker.take(), large) == 0);
    REQUIRE(worker.answer(worker.take(), "mine") == 0);
    CHECK(channel_wait(channel.c, behind, 0) == 1); // does not wait behind what others leave unread
    while (completion *next = channel.take_reaped())
        completion_free(next);
}

TEST_CASE("where what nobody fetches cannot stay in the ring it is kept up to a bound, and is TOO_LARGE then") {
    Channel channel(64);
    MadeUpWorker worker(channel);
    const std::string large(15u << 20, 'x');
    const int fit = static_cast<int>(OUTBOX_BYTES_MOST / (large.size() + sizeof(completion)));
    berth_reply reply{};
    request *own = channel.submit(blocking(&reply));
    REQUIRE(own);
    uint64_t owns = worker.take(), data = 0;
    for (int i = 0; i < fit + 2; i++) {
        REQUIRE(channel.submit(polled()));
        REQUIRE(worker.answer(worker.take(), large) == 0);
        REQUIRE(channel.drain(own) == 1);
    }
    CHECK(channel.c->outbox.bytes <= OUTBOX_BYTES_MOST);
    request *talks = channel.submit(polled(), &data);
    REQUIRE(talks);
    uint64_t room = OUTBOX_BYTES_MOST - channel.c->outbox.bytes;
    REQUIRE(worker.send(BERTH_FRAME_DATA, worker.take(), 0, std::string(room + 1, 'y')) == 0);
    REQUIRE(channel.drain(own) == 1);
    CHECK(state_of(talks) == REQUEST_ABANDONED);
    CHECK(worker.take_urgent().kind == BERTH_FRAME_CANCEL);
    REQUIRE(worker.send(BERTH_FRAME_DATA, data, 0, "z") == 0);
    REQUIRE(worker.answer(data, "late") == 0);
    REQUIRE(worker.answer(owns, "mine") == 0);
    CHECK(channel_wait(channel.c, own, 0) == 1);
    CHECK(state_of(talks) == REQUEST_FREE);
    CHECK(channel.owner.broken == 0);
    std::vector<int32_t> rets;
    completion *next;
    while ((next = channel.take_reaped())) {
        rets.push_back(next->ret);
        if (next->ret == BERTH_RET_TOO_LARGE)
            CHECK(text_of(next) == BERTH_TEXT_UNREAD);
        completion_free(next);
    }
    std::vector<int32_t> expected(static_cast<size_t>(fit), BERTH_RET_OK);
    expected.resize(static_cast<size_t>(fit) + 3, BERTH_RET_TOO_LARGE);
    CHECK(rets == expected);
}

TEST_CASE("the bound holds where berth_reap reads, too: for what is a callback's, and behind what is queued") {
    static auto callback = +[](int, const uint8_t *, size_t, void *) {};
    Channel channel(64);
    MadeUpWorker worker(channel);
    const std::string large(15u << 20, 'x');
    berth_completion out[1];
    reap_arena arena{};
    request_options called{};
    called.kind = REQUEST_CALLBACK;
    called.callback = callback;
    uint64_t queued = 0;
    for (int i = 0; i < 20; i++) {
        REQUIRE(channel.submit(i % 2 ? called : polled()));
        if (i % 2)
            outbox_owe(&channel.c->outbox, 1);
        queued = worker.take();
        if (i == 0) { // what is for berth_reap stands behind this one
            REQUIRE(worker.answer(queued, "") == 0);
            REQUIRE(channel.drain() == 1);
            continue;
        }
        REQUIRE(worker.answer(queued, large) == 0);
        reap_sink sink{};
        sink.out = out;
        sink.capacity = 1;
        sink.arena = &arena;
        REQUIRE(channel.drain(nullptr, &sink) == 1);
        REQUIRE(sink.count == 0);
    }
    CHECK(channel.c->outbox.bytes <= OUTBOX_BYTES_MOST);
    CHECK_FALSE(outbox_owes(&channel.c->outbox));
    int refused = 0;
    for (completion_queue *queue : {&channel.c->outbox.for_reap, &channel.c->outbox.for_callbacks})
        while (completion *next = outbox_take(&channel.c->outbox, &channel.c->slots, queue)) {
            refused += next->ret == BERTH_RET_TOO_LARGE;
            completion_free(next);
        }
    CHECK(refused == 2);
    std::free(arena.bytes);
}

TEST_CASE("a dead worker's last word is read, however much is unread before it") {
    Channel channel(8);
    MadeUpWorker worker(channel);
    const std::string large(15u << 20, 'x');
    for (int i = 0; i < 5; i++)
        REQUIRE(channel.submit(polled()));
    for (int i = 0; i < 4; i++)
        REQUIRE(worker.answer(worker.take(), large) == 0);
    REQUIRE(channel.drain() == 4);
    REQUIRE(worker.answer(worker.take(), large) == 0);
    REQUIRE(worker.send(BERTH_FRAME_CLOSED, 0, BERTH_DRAINED, "called back") == 0);
    REQUIRE(channel.drain() == 0);
    REQUIRE(channel.owner.closed == 0);
    REQUIRE(baton_take(channel.c));
    channel_drain_last(channel.c);
    channel_leave(channel.c);
    CHECK(channel.owner.closed == 1);
    CHECK(channel.owner.text == "called back");
    while (completion *next = channel.take_reaped())
        completion_free(next);
}

TEST_CASE("answers without a byte count against what may be unread, too") {
    Channel channel(8);
    MadeUpWorker worker(channel);
    for (int i = 0; i < 8; i++) {
        REQUIRE(channel.submit(polled()));
        REQUIRE(worker.answer(worker.take(), "") == 0);
    }
    CHECK(channel.drain() == 8);
    CHECK(channel.c->outbox.bytes >= 8 * sizeof(completion));
    while (completion *next = channel.take_reaped())
        completion_free(next);
    CHECK(channel.c->outbox.bytes == 0);
}

TEST_CASE("what finds the urgent ring full is said later: no cancel is lost") {
    Channel channel(4096);
    MadeUpWorker worker(channel);
    std::set<uint64_t> given_up, told;
    for (int i = 0; i < 3000; i++) {
        uint64_t id, seen;
        request *request = channel.submit(polled(), &id);
        REQUIRE(request);
        REQUIRE(request_claim(request, static_cast<uint32_t>(id >> 32), REQUEST_SUBMITTED, &seen));
        request_move(request, REQUEST_ABANDONED);
        channel_send_cancel(channel.c, request, id);
        given_up.insert(id);
    }
    for (uint64_t again = 1; again;) {
        for (berth_frame_header next; (next = worker.take_urgent()).kind;) {
            CHECK(next.kind == BERTH_FRAME_CANCEL);
            CHECK(told.insert(next.id).second);
        }
        again = channel_send_cancels(channel.c, berth_now_ns());
    }
    for (berth_frame_header next; (next = worker.take_urgent()).kind;)
        CHECK(told.insert(next.id).second);
    CHECK(told == given_up);
}

TEST_CASE("what finds the urgent ring full is said later: no credit is lost, of a request that a caller waits for") {
    Channel channel;
    MadeUpWorker worker(channel);
    berth_reply reply{};
    uint64_t id = 0, credit = 0, cost = 0;
    request *request = channel.submit(blocking(&reply), &id);
    REQUIRE(request);
    for (int i = 0; i < 3000; i++) {
        REQUIRE(worker.send(BERTH_FRAME_DATA, id, 0, "piece") == 0);
        cost += berth_data_cost(5);
        REQUIRE(channel.drain(request) == 1);
    }
    auto take_credit = [&] {
        for (berth_frame_header next; (next = worker.take_urgent()).kind;) {
            CHECK(next.kind == BERTH_FRAME_CREDIT);
            CHECK(next.id == id);
            credit += next.code;
        }
    };
    take_credit();
    CHECK(credit < cost);
    CHECK(channel_send_credit(channel.c, berth_now_ns()) == 0);
    take_credit();
    CHECK(credit == cost);
    CHECK(state_of(request) == REQUEST_PENDING);
}

TEST_CASE("a ping waits for who has claimed the request: it may stay in flight") {
    Channel channel;
    uint64_t id = 0, seen, next = 0;
    request *request = channel.submit(pinged(), &id);
    REQUIRE(request);
    REQUIRE(request_claim(request, static_cast<uint32_t>(id >> 32), REQUEST_SUBMITTED, &seen));
    std::atomic<bool> looked{false};
    std::thread tick([&] {
        next = channel_ping(channel.c, berth_now_ns());
        looked = true;
    });
    for (int i = 0; i < 20 && !looked; i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(1)); // long enough for one that does not wait
    request_unclaim(request);
    tick.join();
    CHECK(next != 0);
    while (completion *ping = channel.take_reaped())
        completion_free(ping);
}

TEST_CASE("the ring is armed for the reader of last resort as long as something is owed to nobody") {
    Channel channel(4, true);
    MadeUpWorker worker(channel);
    request_options create = {.kind = REQUEST_CREATE_SILENT};
    request *request = nullptr;
    REQUIRE(channel_submit(channel.c, BERTH_FRAME_CREATE, 0, nullptr, 0, &create, &request, nullptr) == 0);
    uint32_t *waiting = &channel.c->segment.header->control[BERTH_RING_REPLY].waiting;
    CHECK(channel.drain() == 0);
    CHECK(__atomic_load_n(waiting, __ATOMIC_SEQ_CST) == BERTH_AWAKE);
    __atomic_store_n(&channel.c->last_resort, 1, __ATOMIC_SEQ_CST);
    CHECK(channel.drain() == 0);
    CHECK(__atomic_load_n(waiting, __ATOMIC_SEQ_CST) == BERTH_ASLEEP_FD);
    worker.answer(worker.take(), "");
    CHECK(channel.drain() == 1);
    CHECK(channel.owner.created == 1);
    CHECK(__atomic_load_n(waiting, __ATOMIC_SEQ_CST) == BERTH_AWAKE);
}

TEST_CASE("a create finds its slot also where every other is taken") {
    Channel channel(2, true);
    for (int i = 0; i < 2; i++)
        REQUIRE(channel.submit(polled()));
    int ret;
    CHECK(channel.submit(polled(), nullptr, &ret) == nullptr);
    CHECK(ret == BERTH_RET_BUSY);
    for (int round = 0; round < 2; round++) {
        request *request = channel.submit({.kind = REQUEST_CREATE_SILENT});
        REQUIRE(request);
        request_move(request, REQUEST_CLAIMED);
        slots_free(&channel.c->slots, request);
    }
}

TEST_CASE("frames that no worker sends end it, and are told once") {
    for (uint64_t id : {uint64_t(5) << 32, uint64_t(1) << 32 | 900, uint64_t(1) << 32 | 3}) {
        Channel channel(4);
        MadeUpWorker worker(channel);
        REQUIRE(channel.submit(polled()));
        worker.answer(id, "x");
        channel.drain();
        CHECK(channel.owner.broken == 1);
        CHECK(verdict_is_settled(&channel.c->verdict));
    }
}
