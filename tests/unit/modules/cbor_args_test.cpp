#include "modules/cbor_args.h"
#include "modules/cbor_check.h"

#include <doctest/doctest.h>
#include <memory>
#include <string>

namespace {

// Exactly as long as its content, so that ASan sees a read past it.
const char *check(std::initializer_list<int> bytes) {
    std::unique_ptr<uint8_t[]> data(new uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), data.get());
    return berth_cbor_check(data.get(), bytes.size());
}

const char *check(const std::string &bytes) {
    return berth_cbor_check(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
}

bool utf8(const std::string &text) {
    return berth_utf8_valid(reinterpret_cast<const uint8_t *>(text.data()), text.size());
}

struct Opened {
    explicit Opened(std::initializer_list<int> list) : bytes(list.begin(), list.end()) {
        static const char *const keys[] = {"a", "b", nullptr};
        open = berth_args_open(&args, "m", reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), keys);
    }
    ~Opened() { berth_args_close(&args); }
    std::string bytes;
    berth_args args;
    bool open;
};

} // namespace

TEST_CASE("cbor_check passes whole items of every kind") {
    CHECK(check({0xf6}) == nullptr);
    CHECK(check({0x18, 0x64}) == nullptr);
    CHECK(check({0x3b, 1, 2, 3, 4, 5, 6, 7, 8}) == nullptr);
    CHECK(check({0x42, 0xff, 0xfe}) == nullptr);
    CHECK(check({0x62, 0xc3, 0xa9}) == nullptr);
    CHECK(check({0x83, 1, 0x80, 0xa0}) == nullptr);
    CHECK(check({0xa1, 0x61, 'a', 0xc1, 0x00}) == nullptr);
    CHECK(check({0x9f, 1, 0xbf, 0x61, 'a', 2, 0xff, 0xff}) == nullptr);
    CHECK(check({0x5f, 0x41, 1, 0x40, 0xff}) == nullptr);
    CHECK(check({0xf9, 0x3c, 0x00}) == nullptr);
}

TEST_CASE("cbor_check refuses what is cut short, at every length") {
    std::string whole =
        "\xa2\x61\x61\x19\x01\x02\x61\x62\x83\x44\x01\x02\x03\x04\xfb\x01\x02\x03\x04\x05\x06\x07\x08\xf6";
    REQUIRE(check(whole) == nullptr);
    for (size_t len = 0; len < whole.size(); len++)
        CHECK(check(whole.substr(0, len)) != nullptr);
    CHECK(check(whole + "\xf6") != nullptr);
}

TEST_CASE("cbor_check refuses declared sizes that the input cannot hold") {
    CHECK(check({0x9b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff}) != nullptr);
    CHECK(check({0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) != nullptr);
    CHECK(check({0xbb, 0x80, 0, 0, 0, 0, 0, 0, 0}) != nullptr);
    CHECK(check({0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) != nullptr);
    CHECK(check({0x7a, 0xff, 0xff, 0xff, 0xff, 'a'}) != nullptr);
    CHECK(check({0xa2, 0, 0, 0}) != nullptr);
}

TEST_CASE("cbor_check allows 64 levels and no more") {
    for (char level : {'\x81', '\xc1', '\x9f'}) {
        std::string end(level == '\x9f' ? 64 : 0, '\xff');
        CHECK(check(std::string(64, level) + '\x00' + end) == nullptr);
        CHECK(check(std::string(65, level) + '\x00' + end) != nullptr);
        CHECK(check(std::string(1 << 20, level)) != nullptr);
    }
}

TEST_CASE("cbor_check refuses what CBOR does not allow") {
    CHECK(check({0xff}) != nullptr);                        // a break of nothing
    CHECK(check({0x81, 0xff}) != nullptr);                  // in a definite array
    CHECK(check({0xbf, 0x61, 'a', 0xff}) != nullptr);       // a key without a value
    CHECK(check({0x5f, 0x61, 'a', 0xff}) != nullptr);       // text in bytes
    CHECK(check({0x7f, 0x7f, 0xff, 0xff}) != nullptr);      // chunks in chunks
    CHECK(check({0x7f, 0xf6, 0xff}) != nullptr);            // null in text
    CHECK(check({0x7f, 0xc1, 0x61, 'a', 0xff}) != nullptr); // a tag in text
    CHECK(check({0x1c}) != nullptr);                        // reserved widths
    CHECK(check({0x1f}) != nullptr);                        // an indefinite integer
    CHECK(check({0xdf, 0x00}) != nullptr);                  // an indefinite tag
    CHECK(check({0xe0}) != nullptr);                        // unassigned simple values
    CHECK(check({0xf8, 0xff}) != nullptr);
    CHECK(check({0x61, 0xff}) != nullptr); // text that is not UTF-8
}

TEST_CASE("utf8_valid knows overlong forms, surrogates and the end of Unicode") {
    CHECK(utf8(""));
    CHECK(utf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"));
    for (const char *bad : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                            "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xe2\x82\x41", "\xf0\x9f\x98"})
        CHECK_FALSE(utf8(bad));
}

TEST_CASE("cbor_args reads keys in any order and in chunks") {
    uint64_t number;
    berth_span text;
    Opened args({0xbf, 0x7f, 0x61, 'b', 0xff, 0x7f, 0x61, 'x', 0x60, 0x61, 'y', 0xff, 0x61, 'a', 0x05, 0xff});
    REQUIRE(args.open);
    CHECK(berth_args_uint(&args.args, "a", 5, &number));
    CHECK(number == 5);
    REQUIRE(berth_args_text(&args.args, "b", &text));
    CHECK(std::string(reinterpret_cast<const char *>(text.data), text.len) == "xy");
    CHECK_FALSE(berth_args_uint(&args.args, "a", 4, &number));
    CHECK(std::string(args.args.error) == "m: key \"a\": over 4");
}

TEST_CASE("cbor_args names the method and the key in every error") {
    auto error = [](std::initializer_list<int> bytes) { return std::string(Opened(bytes).args.error); };
    CHECK(error({}) == "m: not a CBOR map: it is empty");
    CHECK(error({0x80}) == "m: not a CBOR map");
    CHECK(error({0xa1, 0x61}) == "m: not a CBOR map: it is cut short");
    CHECK(error({0xa1, 0x00, 0x00}) == "m: a key that is not text");
    CHECK(error({0xa1, 0x61, 'c', 0x00}) == "m: key \"c\": unknown");
    CHECK(error({0xa2, 0x61, 'a', 0x00, 0x61, 'a', 0x00}) == "m: key \"a\": given twice");
    uint64_t number;
    bool flag;
    berth_span span;
    Opened args({0xa1, 0x61, 'a', 0xfa, 0, 0, 0, 0});
    CHECK_FALSE(berth_args_uint(&args.args, "b", 1, &number));
    CHECK(std::string(args.args.error) == "m: key \"b\": missing");
    CHECK_FALSE(berth_args_bool(&args.args, "a", &flag));
    CHECK(std::string(args.args.error) == "m: key \"a\": not a boolean");
    CHECK_FALSE(berth_args_data(&args.args, "a", &span));
    CHECK(std::string(args.args.error) == "m: key \"a\": not bytes or text");
}

TEST_CASE("cbor_args cuts a reason between two characters") {
    char why[5];
    berth_args_why(why, sizeof why, "ab\xe2\x82\xac", 5);
    CHECK(std::string(why) == "ab");
    berth_args_why(why, sizeof why, "abcd", 4);
    CHECK(std::string(why) == "abcd");
    berth_args_why(why, sizeof why, "", 0);
    CHECK(std::string(why).empty());
}
