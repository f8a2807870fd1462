#include <doctest/doctest.h>

#include "backend.h"
#include "cbor_text.h"

using namespace berth::test;

TEST_CASE("a request over 16 MiB is TOO_LARGE, and nothing is lost") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            uint64_t before = echo->submit("later", later_request(200, "before"));
            std::string large((size_t(16) << 20) + 1, 'x');
            CHECK(echo->call("echo", large).ret == BERTH_RET_TOO_LARGE);
            CHECK(echo->wait(echo->submit("echo", large)).ret == BERTH_RET_TOO_LARGE);
            CHECK(echo->wait(before) == Answer{0, "before"});
            large.pop_back();
            CHECK(echo->call("echo", large) == Answer{0, large});
        },
        For::Hosted);
}

TEST_CASE("many large payloads in a row arrive whole and in order") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        std::vector<uint64_t> requests;
        std::vector<std::string> sent;
        for (size_t i = 0; i < 12; i++) {
            sent.emplace_back((size_t(1) << 20) * (i % 4 + 1) + i, static_cast<char>('a' + i));
            requests.push_back(echo->submit("echo", sent.back()));
        }
        for (size_t i = 0; i < requests.size(); i++)
            CHECK(echo->wait(requests[i]) == Answer{0, sent[i]});
        CHECK(echo->order() == requests);
    });
}
