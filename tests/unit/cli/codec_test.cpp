#include <doctest/doctest.h>

#include "codec.h"

using namespace berth::cli;

namespace {

Bytes bytes_of(const std::string &text) { return Bytes(text.begin(), text.end()); }

Bytes encoded(const std::string &json) {
    auto bytes = encode_request(json);
    REQUIRE(bytes);
    return *bytes;
}

} // namespace

TEST_CASE("no request is the empty map") { CHECK(encoded("") == Bytes{0xa0}); }

TEST_CASE("JSON becomes CBOR with its keys in the order written") {
    CHECK(encoded(R"({"b":1,"a":-1})") == Bytes{0xa2, 0x61, 'b', 0x01, 0x61, 'a', 0x20});
    CHECK(encoded("[true,null]") == Bytes{0x82, 0xf5, 0xf6});
}

TEST_CASE("$bytes is a byte string, at any depth") {
    CHECK(encoded(R"({"$bytes":"00fF"})") == Bytes{0x42, 0x00, 0xff});
    CHECK(encoded(R"([{"x":{"$bytes":""}}])") == Bytes{0x81, 0xa1, 0x61, 'x', 0x40});
}

TEST_CASE("a map with more than $bytes is a map") {
    CHECK(encoded(R"({"$bytes":"00","n":1})")[0] == 0xa2);
    CHECK(encoded(R"({"$bytes":1})")[0] == 0xa1);
}

TEST_CASE("$bytes that are no base16 are refused with the place") {
    CHECK(encode_request(R"({"$bytes":"0"})").error().text.find("odd") != std::string::npos);
    CHECK(encode_request(R"({"$bytes":"00zz"})").error().text.find("at 2") != std::string::npos);
    CHECK(encode_request(R"({"$bytes":"0z"})").error().text.find("at 1") != std::string::npos);
}

TEST_CASE("invalid JSON is refused with line and column") {
    auto result = encode_request("{\"a\":\n  x}");
    REQUIRE(!result);
    CHECK(result.error().text.find("line 2, column 3") != std::string::npos);
    CHECK(result.error().text.find("json.exception") == std::string::npos);
}

TEST_CASE("a CBOR reply is shown as JSON, bytes as $bytes") {
    auto shown = show(Bytes{0xa1, 0x61, 'k', 0x42, 0xde, 0xad});
    CHECK(!shown.is_text);
    CHECK(dump(shown.json) == R"({"k":{"$bytes":"dead"}})");
}

TEST_CASE("JSON with $bytes comes back as it was") {
    const char *json = R"({"list":[1,-2,1.5,"täxt",null,{"$bytes":"00ff"}],"map":{}})";
    CHECK(dump(show(encoded(json)).json) == json);
}

TEST_CASE("a reply that is no CBOR is text when it is UTF-8") {
    auto shown = show(bytes_of("0.1.0 grüßt"));
    CHECK(shown.is_text);
    CHECK(show_for_people(bytes_of("0.1.0 grüßt")) == "0.1.0 grüßt");
    CHECK(show_for_people(Bytes{}) == "");
}

TEST_CASE("any other reply is shown as bytes") {
    CHECK(dump(show(Bytes{0xff, 0xfe}).json) == R"({"$bytes":"fffe"})");
    CHECK(dump(show(Bytes{0, 0, 0, 7}).json) == R"({"$bytes":"00000007"})");
    CHECK(dump(show(Bytes{0xc3, 0x28, 0x80}).json) == R"({"$bytes":"c32880"})");
}

TEST_CASE("CBOR with something behind it is not taken for CBOR") { CHECK(show(bytes_of("ab\n")).is_text); }

TEST_CASE("tags are looked through") { CHECK(dump(show(Bytes{0xd8, 0x20, 0x01}).json) == "1"); }

TEST_CASE("CBOR text that is no UTF-8 is printable all the same") { CHECK_NOTHROW(dump(show(Bytes{0x61, 0xff}).json)); }

TEST_CASE("base16 goes both ways") {
    Bytes all;
    for (int i = 0; i < 256; i++)
        all.push_back(static_cast<uint8_t>(i));
    auto back = from_base16(to_base16(all));
    REQUIRE(back);
    CHECK(*back == all);
}
