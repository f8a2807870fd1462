#include <doctest/doctest.h>
#include <thread>

#include "backend.h"
#include "cbor_text.h"
#include "processes.h"

using namespace berth::test;

TEST_CASE("an answer given later comes from another thread, and others overtake it") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        uint64_t slow = echo->submit("later", later_request(3200, "slow"));
        uint64_t quick = echo->submit("later", later_request(3000, "quick"));
        uint64_t now = echo->submit("echo", "now");
        CHECK(echo->wait(now) == Answer{0, "now"});
        CHECK(echo->wait(quick) == Answer{0, "quick"});
        CHECK(echo->wait(slow) == Answer{0, "slow"});
        CHECK(echo->order() == std::vector<uint64_t>{now, quick, slow});
    });
}

TEST_CASE("many requests answered later each get their own answer, once") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        std::vector<uint64_t> requests;
        for (uint64_t i = 0; i < 500; i++)
            requests.push_back(echo->submit("later", later_request(i * 37 % 200, "number " + std::to_string(i))));
        for (size_t i = 0; i < requests.size(); i++)
            CHECK(echo->wait(requests[i]) == Answer{0, "number " + std::to_string(i)});
        for (uint64_t request : requests)
            CHECK(!echo->answered_twice(request));
    });
}

TEST_CASE("a deadline is TIMEOUT, and the context still works") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            const Context &context = *echo->context();
            CHECK(context.call("later", later_request(60000, "x"), 50).ret == BERTH_RET_TIMEOUT);
            CHECK(context.call("block", cbor(R"({"ms": 60000})"), 50).ret == BERTH_RET_TIMEOUT);
            CHECK(context.call("echo", "x", 0).ret != -2);
            CHECK(context.call("echo", "after") == Answer{0, "after"});
            for (int i = 0; i < 300; i++) // right at the deadline: one or the other, never both, never neither
                CHECK_MESSAGE((context.call("later", later_request(2, "y"), 2).ret | 4) == 4, i);
            CHECK(context.call("echo", "after") == Answer{0, "after"});
        },
        For::Hosted);
}

TEST_CASE("closing lets what is in flight finish") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            Record later;
            REQUIRE(echo->context()->submit("later", later_request(300, "drained"), Record::callback, &later) == 0);
            echo.reset();
            CHECK(eventually([&] { return later.answered(); })); // callbacks may run on a little after the close
            CHECK(later.terminal == 1);
            CHECK(later.bytes == "drained");
        },
        For::Hosted);
}
