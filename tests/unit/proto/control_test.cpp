#include <doctest/doctest.h>

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "control.h"

namespace {

using Bytes = std::vector<uint8_t>;

struct Decoded {
    int rc;
    std::string why;
    berth_control_message message;
};

Decoded decode(const Bytes &packet, uint32_t fds = 0) {
    Decoded d{};
    char why[160] = "";
    d.rc = berth_control_decode(packet.data(), packet.size(), fds, &d.message, why, sizeof why);
    d.why = d.rc ? why : "";
    return d;
}

std::string why(const Bytes &packet, uint32_t fds = 0) {
    auto d = decode(packet, fds);
    CHECK(d.rc == (d.why.empty() ? 0 : -EBADMSG));
    return d.why;
}

void fill(berth_control_message &message, uint64_t keys) {
    for (uint32_t key = 1; key < BERTH_KEY_COUNT; key++) {
        if (!(keys >> key & 1))
            continue;
        if (key == BERTH_KEY_DESCRIPTORS)
            berth_control_set_uint(&message, key, 1 << 5 | 1);
        else if (berth_control_kinds[key] == BERTH_FIELD_UINT)
            berth_control_set_uint(&message, key, uint64_t{key} << key);
        else if (berth_control_kinds[key] == BERTH_FIELD_TEXT)
            berth_control_set_text(&message, key, "größe\n", 8);
        else
            berth_control_set_bytes(&message, key, "0123456789abcdef", 16);
    }
}

uint32_t needed_and_named(const berth_control_message &message) {
    uint64_t named = message.fields[BERTH_KEY_DESCRIPTORS].number;
    return berth_control_shapes[message.type].fds_max + static_cast<uint32_t>(__builtin_popcountll(named));
}

void check_round_trip(uint32_t type, uint64_t keys) {
    berth_control_message message;
    berth_control_init(&message, type);
    fill(message, keys);
    Bytes packet(BERTH_CONTROL_MAX_PACKET);
    long size = berth_control_encode(&message, packet.data(), packet.size());
    REQUIRE(size > 0);
    packet.resize(static_cast<size_t>(size));
    auto d = decode(packet, needed_and_named(message));
    REQUIRE_MESSAGE(d.rc == 0, d.why);
    CHECK(d.message.type == type);
    for (uint32_t key = 1; key < BERTH_KEY_COUNT; key++) {
        const auto &sent = message.fields[key], &got = d.message.fields[key];
        CHECK(sent.kind == got.kind);
        CHECK(sent.number == got.number);
        CHECK(std::string_view(reinterpret_cast<const char *>(sent.data), sent.len) ==
              std::string_view(reinterpret_cast<const char *>(got.data), got.len));
    }
    CHECK(berth_control_encode(&message, packet.data(), packet.size() - 1) == -EMSGSIZE);
}

Bytes retire() { return {0xa1, 0x00, BERTH_MSG_RETIRE}; }

} // namespace

TEST_CASE("every message round-trips, with its required keys and with all") {
    for (uint32_t type = 1; type < BERTH_MSG_TYPE_COUNT; type++) {
        const auto &shape = berth_control_shapes[type];
        REQUIRE(shape.name);
        CHECK((shape.required & shape.optional) == 0);
        CHECK(shape.fds_min <= shape.fds_max);
        CHECK(shape.fds_max <= BERTH_CONTROL_MAX_FDS);
        check_round_trip(type, shape.required);
        check_round_trip(type, shape.required | shape.optional);
    }
}

TEST_CASE("a message that lacks a key, or has one too many, is not encoded") {
    uint8_t out[256];
    berth_control_message message;
    berth_control_init(&message, BERTH_MSG_STATUS);
    CHECK(berth_control_encode(&message, out, sizeof out) == -EINVAL);
    berth_control_set_uint(&message, BERTH_KEY_SEQ, 1);
    CHECK(berth_control_encode(&message, out, sizeof out) > 0);
    berth_control_set_uint(&message, BERTH_KEY_PID, 1);
    CHECK(berth_control_encode(&message, out, sizeof out) == -EINVAL);
    for (uint32_t type : {0u, uint32_t{BERTH_MSG_TYPE_COUNT}, ~0u}) {
        berth_control_init(&message, type);
        CHECK(berth_control_encode(&message, out, sizeof out) == -EINVAL);
    }
}

TEST_CASE("what is wrong with a packet is said") {
    CHECK(why(retire()) == "");
    CHECK(why({}) == "byte 0: not a small CBOR map");
    CHECK(why({0x80}) == "byte 0: not a small CBOR map");
    CHECK(why({0xb8, 0xff}) == "byte 0: not a small CBOR map");
    CHECK(why({0xbf, 0x00, 0x0e, 0xff}) == "byte 0: not a small CBOR map");
    CHECK(why({0xa1}) == "byte 1: not a key");
    CHECK(why({0xa1, 0x20, 0x00}) == "byte 1: not a key");
    CHECK(why({0xa1, 0x00}) == "byte 2: value cut short");
    CHECK(why({0xa2, 0x00, 0x0b, 0x07, 0x64, 'a'}) == "byte 4: value cut short");
    CHECK(why({0xa2, 0x00, 0x0b, 0x07, 0x7b, 255, 255, 255, 255, 255, 255, 255, 255}) == "byte 4: value cut short");
    CHECK(why({0xa1, 0x00, 0x80}) == "key 0: neither a number, bytes nor text");
    CHECK(why({0xa1, 0x00, 0x61, 'x'}) == "key 0 has the wrong kind");
    CHECK(why({0xa3, 0x00, 0x08, 0x01, 0x01, 0x01, 0x01}) == "key 1 stands twice");
    CHECK(why({0xa2, 0x00, 0x0b, 0x07, 0x62, 0xc0, 0x80}) == "key 7 is not UTF-8");
    CHECK(why({0xa1, 0x00, 0x0e, 0x00}) == "byte 3: more after the map");
    CHECK(why({0xa0}) == "unknown message type -1");
    CHECK(why({0xa1, 0x00, 0x00}) == "unknown message type 0");
    CHECK(why({0xa1, 0x00, 0x18, 0x63}) == "unknown message type 99");
    CHECK(why({0xa1, 0x00, 0x08}) == "status lacks key 1");
    CHECK(why({0xa2, 0x00, 0x0e, 0x01, 0x01}) == "retire may not have key 1");
    CHECK(why(retire(), 2) == "retire came with 2 descriptors, not 0");
    CHECK(why({0xa3, 0x00, 0x04, 0x01, 0x01, 0x08, 0x61, 'm'}) == "open came with 0 descriptors, not 2 to 3");
    CHECK(why(Bytes(BERTH_CONTROL_MAX_PACKET + 1)) == "a packet of 65537 bytes");
    // ready: pid, methods, module version, method names
    CHECK(why({0xa5, 0, 10, 13, 1, 14, 0x43, 1, 2, 3, 20, 0x60, 21, 0x60}) == "key 14: not a list of 4-byte ids");
    // lease: context, token, generation, drain, teardown
    CHECK(why({0xa6, 0, 12, 10, 1, 11, 0x41, 9, 12, 1, 22, 1, 23, 1}, 4) == "key 11: a token has 16 bytes");
}

TEST_CASE("an open brings two or three descriptors, and as many more as it names") {
    auto open = [](uint32_t fds, std::optional<uint64_t> named) {
        berth_control_message message;
        berth_control_init(&message, BERTH_MSG_OPEN);
        fill(message, berth_control_shapes[BERTH_MSG_OPEN].required);
        if (named)
            berth_control_set_uint(&message, BERTH_KEY_DESCRIPTORS, *named);
        Bytes packet(256);
        packet.resize(static_cast<size_t>(berth_control_encode(&message, packet.data(), packet.size())));
        auto decoded = decode(packet, fds);
        return decoded.rc ? decoded.why : std::to_string(berth_control_needed_fds(&decoded.message, fds));
    };
    CHECK(open(1, {}) == "open came with 1 descriptors, not 2 to 3");
    CHECK(open(2, {}) == "2");
    CHECK(open(3, {}) == "3");
    CHECK(open(4, {}) == "open came with 4 descriptors, not 2 to 3");
    CHECK(open(2, 0) == "2");
    CHECK(open(2, 1) == "open came with 2 descriptors, not 3 to 4");
    CHECK(open(3, 4) == "2");
    CHECK(open(5, 7) == "2");
    CHECK(open(6, 7) == "3");
    CHECK(open(7, 7) == "open came with 7 descriptors, not 5 to 6");
    CHECK(open(8, 0x8000000000000f01) == "2"); // bits that nobody knows count as well
    CHECK(open(8, 0x1f) == "3");
    CHECK(open(9, 0x3f) == "open came with 9 descriptors, not 8");
    CHECK(open(9, 0x7f) == "open names 7 more descriptors: too many");
    CHECK(open(66, ~uint64_t{0}) == "open names 64 more descriptors: too many");
}

TEST_CASE("a lease brings what its open brought, and one more; other messages what they always did") {
    berth_control_message message;
    berth_control_init(&message, BERTH_MSG_LEASE);
    for (int fds : {3, 4})
        CHECK(berth_control_needed_fds(&message, static_cast<uint32_t>(fds)) == fds);
    for (uint32_t fds : {0u, 2u, 5u, 9u})
        CHECK(berth_control_needed_fds(&message, fds) == -EBADMSG);
    berth_control_init(&message, BERTH_MSG_OPENED);
    CHECK(berth_control_needed_fds(&message, 1) == 1);
    CHECK(berth_control_needed_fds(&message, 2) == -EBADMSG);
}

TEST_CASE("a short `why` is cut, and ends") {
    berth_control_message message;
    char text[8] = "xxxxxxx";
    CHECK(berth_control_decode(nullptr, 0, 0, &message, text, sizeof text) == -EBADMSG);
    CHECK(std::string(text) == "byte 0:");
}

TEST_CASE("unknown keys are skipped where their value is a number, bytes or text") {
    CHECK(why({0xa2, 0x00, 0x0e, 0x18, 0x63, 0x01}) == "");
    CHECK(why({0xa2, 0x00, 0x0e, 0x18, 0x63, 0x61, 'x'}) == "");
    CHECK(why({0xa2, 0x18, 0x63, 0x41, 0xff, 0x00, 0x0e}) == "");
    CHECK(why({0xa2, 0x00, 0x0e, 0x18, 0x63, 0x81, 0x01}) == "key 99: neither a number, bytes nor text");
    CHECK(why({0xa2, 0x00, 0x0e, 0x18, 0x63, 0xf5}) == "key 99: neither a number, bytes nor text");
}

TEST_CASE("text is UTF-8, all of it and nothing else") {
    auto accepted = [](const std::string &text) {
        Bytes packet{0xa2, 0x00, BERTH_MSG_LOAD_FAILED, BERTH_KEY_TEXT, static_cast<uint8_t>(0x60 + text.size())};
        packet.insert(packet.end(), text.begin(), text.end());
        return why(packet).empty();
    };
    for (const char *good : {"", "a", "é", "€", "😀", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"})
        CHECK_MESSAGE(accepted(good), good);
    for (const char *bad : {"\x80", "\xc3", "\xc1\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                            "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "a\xe2\x82", "\xe2\x28\xa1"})
        CHECK_FALSE_MESSAGE(accepted(bad), bad);
}

TEST_CASE("a method's id is the FNV-1a hash of its name") {
    CHECK(berth_method_id("", 0) == 2166136261u);
    CHECK(berth_method_id("a", 1) == 0xe40c292cu);
    CHECK(berth_method_id("foobar", 6) == 0xbf9cf968u);
}
