#include <doctest/doctest.h>

#include "backend.h"
#include "cbor_text.h"
#include "processes.h"

using namespace berth::test;

namespace {

std::string pattern(size_t len) {
    std::string bytes(len, '\0');
    for (size_t i = 0; i < len; i++)
        bytes[i] = static_cast<char>(i * 31 + (i >> 12));
    return bytes;
}

} // namespace

TEST_CASE("payloads from 0 bytes to 16 MiB arrive whole") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        for (size_t len : {0, 1, 31, 32, 33, 63, 64, 4095, 4096, 65536, 262143, 262144, 262145, 1 << 20, (16 << 20) - 1,
                           16 << 20}) {
            CAPTURE(len);
            std::string bytes = pattern(len);
            CHECK(echo->call("echo", bytes) == Answer{0, bytes});
            CHECK(echo->wait(echo->submit("echo", bytes)) == Answer{0, bytes});
        }
    });
}

TEST_CASE("requests of one context are answered in order") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        std::vector<uint64_t> requests;
        for (size_t i = 0; i < 400; i++)
            requests.push_back(echo->submit("echo", pattern(i * 97 % 9000)));
        for (size_t i = 0; i < requests.size(); i++)
            CHECK(echo->wait(requests[i]) == Answer{0, pattern(i * 97 % 9000)});
        CHECK(echo->order() == requests);
    });
}

TEST_CASE("a failure brings its text, and never an empty one") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        CHECK(echo->call("fail", cbor(R"({"text": "no such luck"})")) == Answer{1, "no such luck"});
        // The text for an empty one is libberth's.
        CHECK(echo->call("fail", cbor(R"({"text": ""})")) == Answer{1, backend.hosted() ? "unknown error" : ""});
        CHECK(echo->call("fail", cbor(R"({"text": "Zürich – 東京"})")) == Answer{1, "Zürich – 東京"});
    });
}

TEST_CASE("an unknown method is answered with its text") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            Answer answer = echo->call("no-such-method", "x");
            CHECK(answer.ret == 1);
            CHECK_MESSAGE(answer.bytes.find("This request type is not implemented: ") == 0, answer.bytes);
            uint32_t method;
            CHECK(berth_method(echo->context()->handle(), "no-such-method", &method) == BERTH_RET_INVALID_ARGUMENT);
            CHECK(berth_method(echo->context()->handle(), "echo", &method) == BERTH_RET_OK);
        },
        For::Hosted);
}

TEST_CASE("wrong CBOR in a request is the module's error text") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        for (const std::string &bytes : {std::string("\xff"), std::string("\xa1\x61"), std::string(""),
                                         std::string("\x80"), std::string("\xa1\x62ms\x61x"), std::string(70000, '\x9f')}) {
            Answer answer = echo->call("later", bytes);
            CHECK(answer.ret == 1);
            CHECK_MESSAGE(answer.bytes.find("later: ") == 0, answer.bytes);
        }
        CHECK(echo->call("echo", "still here") == Answer{0, "still here"});
    });
}

TEST_CASE("create that fails gives its reason, and the next one works") {
    on_every_backend([](Backend &backend) {
        std::string why;
        CHECK(!backend.open("echo", cbor(R"({"fail": "not today"})"), &why));
        CHECK(why == "not today");
        CHECK(!backend.open("echo", "\xff", &why));
        CHECK(why.find("create: ") == 0);
        CHECK(backend.open("echo")->call("echo", "x") == Answer{0, "x"});
    });
}

TEST_CASE("a static method needs no context") {
    on_every_backend([](Backend &backend) {
        Answer answer = backend.call_static("echo", "version");
        CHECK(answer.ret == 0);
        CHECK(json(answer.bytes).find("\"berth-echo ") == 0);
        CHECK(backend.call_static("sqlite", "version").ret == 0);
        Answer refused = backend.call_static("echo", "later");
        CHECK(refused.ret == 1);
        CHECK(!refused.bytes.empty());
    });
}

TEST_CASE("what a context allocates is its own") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        CHECK(json(echo->call("alloc", cbor(R"({"mib": 1})")).bytes) == "1");
        CHECK(json(echo->call("alloc", cbor(R"({"mib": 2})")).bytes) == "3");
        echo.reset();
        CHECK(json(backend.open("echo")->call("alloc", cbor(R"({"mib": 1})")).bytes) == "1");
    });
}
