#include <doctest/doctest.h>

#include "backend.h"
#include "cbor_text.h"
#include "processes.h"

using namespace berth::test;

namespace {

uint32_t index_of(const uint8_t *data) {
    return static_cast<uint32_t>(data[0]) | static_cast<uint32_t>(data[1]) << 8 | static_cast<uint32_t>(data[2]) << 16;
}

std::string emit(int count, int bytes) {
    return cbor("{\"count\": " + std::to_string(count) + ", \"bytes\": " + std::to_string(bytes) + "}");
}

struct OnceOnly {
    berth_context context;
    std::atomic<uint64_t> listener{0};
    std::atomic<int> ran{0}, unlisten_ret{-1};
    static void run(int, const uint8_t *, size_t, void *user_data) {
        auto *self = static_cast<OnceOnly *>(user_data);
        self->ran++;
        self->unlisten_ret = berth_unlisten(self->context, self->listener);
    }
};

// Adds another listener on the first event, and keeps which event that one got first.
struct Adder {
    berth_context context;
    uint64_t listener = 0, other = 0;
    std::atomic<int> ran{0}, other_ran{0}, first{-1};
    static void run(int, const uint8_t *, size_t, void *user_data) {
        auto *self = static_cast<Adder *>(user_data);
        if (self->ran++ == 0)
            berth_listen(self->context, "tick", run_other, self, &self->other);
    }
    static void run_other(int, const uint8_t *data, size_t, void *user_data) {
        auto *self = static_cast<Adder *>(user_data);
        if (self->other_ran++ == 0)
            self->first = static_cast<int>(index_of(data));
    }
};

} // namespace

TEST_CASE("every event is delivered, in order, with its payload") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        echo->listen("tick");
        Answer answer = echo->call("emit", emit(1000, 100));
        CHECK(json(answer.bytes) == R"({"dropped":0,"sent":1000})");
        auto events = echo->events(1000);
        REQUIRE(events.size() == 1000);
        for (uint32_t i = 0; i < 1000; i++) {
            CHECK(events[i].size() == 100);
            CHECK(index_of(reinterpret_cast<const uint8_t *>(events[i].data())) == i);
        }
    });
}

TEST_CASE("an event of 1 MiB is delivered whole, and one of no bytes too") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        echo->listen("tick");
        echo->call("emit", emit(3, 1 << 20));
        echo->call("emit", emit(1, 0));
        auto events = echo->events(4);
        REQUIRE(events.size() == 4);
        CHECK(events[2].size() == 1 << 20);
        CHECK(events[3].empty());
    });
}

TEST_CASE("listeners that reap get every event, two of them twice as many") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            berth_context context = echo->context()->handle();
            uint64_t first, second;
            REQUIRE(berth_listen(context, "tick", nullptr, nullptr, &first) == 0);
            REQUIRE(berth_listen(context, "tick", nullptr, nullptr, &second) == 0);
            CHECK(first != second);
            Answer answer = echo->call("emit", emit(200, 8));
            CHECK(json(answer.bytes) == R"({"dropped":0,"sent":200})");
            uint32_t next_first = 0, next_second = 0;
            berth_completion batch[7];
            eventually([&] {
                int count = berth_reap(context, batch, 7, 1000);
                for (int i = 0; i < count; i++) {
                    CHECK(batch[i].kind == BERTH_EVENT);
                    CHECK(batch[i].len == 8);
                    CHECK(index_of(batch[i].data) == (batch[i].id == first ? next_first : next_second)++);
                }
                return next_first == 200 && next_second == 200;
            });
            CHECK(next_first == 200);
            CHECK(next_second == 200);
            CHECK(berth_unlisten(context, first) == 0);
            CHECK(berth_unlisten(context, first) == BERTH_RET_INVALID_ARGUMENT);
        },
        For::Hosted);
}

TEST_CASE("nobody listens: events are dropped at their source") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            CHECK(json(echo->call("emit", emit(10, 8)).bytes) == R"({"dropped":10,"sent":0})");
        },
        For::Hosted);
}

TEST_CASE("a listener removed inside its own callback does not run again") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            OnceOnly once{echo->context()->handle()};
            uint64_t listener;
            REQUIRE(berth_listen(once.context, "tick", OnceOnly::run, &once, &listener) == 0);
            once.listener = listener;
            echo->listen("tick");
            echo->call("emit", emit(50, 8));
            CHECK(echo->events(50).size() == 50);
            CHECK(once.ran == 1);
            CHECK(once.unlisten_ret == 0);
        },
        For::Hosted);
}

TEST_CASE("a listener added while an event is being delivered gets the next one, not that one again") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            Adder adder{echo->context()->handle()};
            REQUIRE(berth_listen(adder.context, "tick", Adder::run, &adder, &adder.listener) == 0);
            echo->call("emit", emit(3, 8));
            CHECK(eventually([&] { return adder.ran == 3 && adder.other_ran >= 2; }));
            CHECK(adder.first == 1);
            CHECK(berth_unlisten(adder.context, adder.listener) == 0);
            CHECK(berth_unlisten(adder.context, adder.other) == 0);
        },
        For::Hosted);
}
