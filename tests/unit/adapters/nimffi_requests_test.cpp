#include "adapters/nimffi_requests.h"

#include <chrono>
#include <doctest/doctest.h>
#include <map>
#include <memory>
#include <thread>
#include <vector>

using namespace berth::nimffi;
using Taken = Requests::Taken;

namespace {

berth_request request(uint64_t slot, uint64_t generation) { return generation << 32 | slot; }

struct Given {
    std::mutex lock;
    std::condition_variable changed;
    std::map<berth_request, int> deadline, cancelled;

    Requests::Answer note() {
        return [this](berth_request id, Requests::Why why) {
            std::lock_guard guard(lock);
            (why == Requests::Why::Deadline ? deadline : cancelled)[id]++;
            changed.notify_all();
        };
    }
    bool wait(size_t count) {
        std::unique_lock guard(lock);
        return changed.wait_for(guard, std::chrono::seconds(60),
                                [&] { return deadline.size() + cancelled.size() >= count; });
    }
};

struct Kept {
    explicit Kept(uint32_t deadline_ms) : made(new Requests(deadline_ms, given.note())), requests(*made) {}
    Given given;
    std::unique_ptr<Requests> made; // too large for a stack
    Requests &requests;
};

} // namespace

TEST_CASE("a request is taken once; the second callback is told from one that is over") {
    Kept kept(0);
    auto &requests = kept.requests;
    requests.next_context();
    uint64_t tag = requests.begin(request(5, 1));
    CHECK(Requests::id_of(tag) == request(5, 1));
    CHECK(requests.is_in_flight(tag));
    CHECK(requests.take(tag) == Taken::Now);
    CHECK_FALSE(requests.is_in_flight(tag));
    CHECK(requests.take(tag) == Taken::Before);
    uint64_t next = requests.begin(request(5, 2));
    CHECK(requests.take(tag) != Taken::Now);
    CHECK(requests.take(next) == Taken::Now);
    CHECK(requests.take(tag) == Taken::NotThere);
    CHECK(requests.take(0) == Taken::NotThere);
    CHECK(requests.take(~uint64_t{0}) == Taken::NotThere);
    uint64_t last = requests.begin(request(65535, 0xffffffff));
    CHECK(Requests::id_of(last) == request(65535, 0xffffffff));
    CHECK(requests.take(last) == Taken::Now);
}

TEST_CASE("a callback for an earlier context finds nothing, although its request has the same id") {
    Kept kept(0);
    auto &requests = kept.requests;
    requests.next_context();
    uint64_t before = requests.begin(request(0, 1));
    requests.next_context();
    uint64_t now = requests.begin(request(0, 1));
    CHECK(before != now);
    CHECK(requests.take(before) == Taken::NotThere);
    CHECK(requests.take(now) == Taken::Now);
}

TEST_CASE("what is given up at a context's end is known as such until the next context") {
    Kept kept(0);
    auto &requests = kept.requests;
    requests.next_context();
    uint64_t answered = requests.begin(request(0, 1)), flying = requests.begin(request(1, 1));
    CHECK(requests.take(answered) == Taken::Now);
    requests.give_up_all();
    CHECK(requests.take(flying) == Taken::GivenUp);
    CHECK(requests.take(answered) == Taken::Before);
    requests.next_context();
    CHECK(requests.take(flying) == Taken::NotThere);
}

TEST_CASE("a cancel answers what is in flight, and nothing else") {
    Kept kept(0);
    auto &requests = kept.requests;
    requests.next_context();
    uint64_t tag = requests.begin(request(1, 1)), other = requests.begin(request(2, 1));
    requests.cancel(request(3, 1));
    requests.cancel(request(2, 7));
    requests.cancel(request(1, 1));
    REQUIRE(kept.given.wait(1));
    CHECK(kept.given.cancelled == std::map<berth_request, int>{{request(1, 1), 1}});
    CHECK(requests.take(tag) == Taken::GivenUp);
    CHECK(requests.take(other) == Taken::Now);
}

TEST_CASE("what passes its deadline is answered once; what was taken before is not") {
    Kept kept(50);
    auto &requests = kept.requests;
    requests.next_context();
    for (int round = 1; round <= 3; round++) {
        uint64_t generation = static_cast<uint64_t>(round);
        for (uint64_t slot = 0; slot < 100; slot++) {
            uint64_t tag = requests.begin(request(slot, generation));
            if (slot % 2)
                requests.take(tag);
        }
        // Under load a deadline can come before the take; what was not taken comes in any case.
        auto all_even = [&] {
            std::lock_guard guard(kept.given.lock);
            for (uint64_t slot = 0; slot < 100; slot += 2)
                if (!kept.given.deadline.count(request(slot, generation)))
                    return false;
            return true;
        };
        auto bound = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!all_even() && std::chrono::steady_clock::now() < bound)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        CHECK(all_even());
    }
    std::lock_guard guard(kept.given.lock);
    for (auto &[id, count] : kept.given.deadline)
        CHECK(count == 1);
}

TEST_CASE("callbacks, cancels and deadlines race for each request, and one wins") {
    Kept kept(20);
    auto &requests = kept.requests;
    requests.next_context();
    constexpr uint64_t kRounds = 2000;
    std::atomic<uint64_t> current{0}, taken{0};
    std::atomic<bool> over{false};
    std::vector<std::thread> callers;
    for (int i = 0; i < 2; i++)
        callers.emplace_back([&] {
            while (!over)
                if (uint64_t tag = current.load(); tag && requests.take(tag) == Taken::Now)
                    taken++;
        });
    for (uint64_t round = 1; round <= kRounds; round++) {
        uint64_t tag = requests.begin(request(round % 3, round));
        if (round % 2)
            current = tag;
        else
            requests.cancel(request(round % 3, round));
        while (requests.is_in_flight(tag))
            std::this_thread::yield();
    }
    over = true;
    for (auto &caller : callers)
        caller.join();
    CHECK(kept.given.wait(kRounds - taken));
    std::lock_guard guard(kept.given.lock);
    CHECK(kept.given.deadline.size() + kept.given.cancelled.size() + taken == kRounds);
    for (auto &[id, count] : kept.given.cancelled)
        CHECK(count == 1);
}
