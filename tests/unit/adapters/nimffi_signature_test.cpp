#include "adapters/nimffi_signature.h"

#include <cstdio>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace berth;
using namespace berth::nimffi;
using Json = nlohmann::json;

namespace {

int with_all(void *ctx, Callback cb, void *ud, const char *s, bool b, int8_t i8, uint8_t u8, int16_t i16, uint16_t u16,
             int i, unsigned u, int64_t i64, uint64_t u64, float f, double d) {
    char out[400];
    int len = snprintf(out, sizeof out, "%s %d %d %u %d %u %d %u %lld %llu %g %g", s ? s : "NULL", b, i8, u8, i16, u16,
                       i, u, static_cast<long long>(i64), static_cast<unsigned long long>(u64),
                       static_cast<double>(f), d);
    cb(0, out, static_cast<size_t>(len), ud);
    return ctx == nullptr ? 1 : 7;
}

int nothing(void *, Callback cb, void *ud) {
    cb(0, "called", 6, ud);
    return 0;
}

int statically(Callback cb, void *ud, unsigned value) {
    cb(static_cast<int>(value), "", 0, ud);
    return 0;
}

struct Heard {
    int ret = -1;
    std::string text;
    static void note(int ret, const char *msg, size_t len, void *self) {
        *static_cast<Heard *>(self) = {ret, std::string(msg, len)};
    }
};

template <class Function>
std::string call(const Signature &signature, Function *function, const std::vector<uint8_t> &request, void *ctx,
                 Heard *heard = nullptr) {
    Heard own;
    auto rc = signature.call(reinterpret_cast<void *>(function), ctx, Heard::note, heard ? heard : &own, request.data(),
                             request.size());
    if (!rc)
        return "refused: " + rc.error().text;
    return std::to_string(*rc) + " " + (heard ? heard->text : own.text);
}

std::vector<uint8_t> cbor(const Json &value) { return Json::to_cbor(value); }

const std::vector<NimffiType> kAll = {NimffiType::String, NimffiType::Bool,   NimffiType::Int8,  NimffiType::Uint8,
                                      NimffiType::Int16,  NimffiType::Uint16, NimffiType::Int32, NimffiType::Uint32,
                                      NimffiType::Int64,  NimffiType::Uint64, NimffiType::Float, NimffiType::Double};

} // namespace

TEST_CASE("every type of parameter arrives as it was sent, at its bounds too") {
    Signature signature(kAll, false);
    int ctx;
    CHECK(call(signature, with_all,
               cbor({"text", true, -128, 255, -32768, 65535, -2147483647 - 1, 4294967295u, INT64_MIN, UINT64_MAX, 0.5,
                     -2.25}),
               &ctx) ==
          "7 text 1 -128 255 -32768 65535 -2147483648 4294967295 -9223372036854775808 18446744073709551615 0.5 -2.25");
    CHECK(call(signature, with_all, cbor({nullptr, false, 127, 0, 32767, 0, 2147483647, 0, INT64_MAX, 0, 3, -4}),
               nullptr) == "1 NULL 0 127 0 32767 0 2147483647 0 9223372036854775807 0 3 -4");
}

TEST_CASE("a method without parameters takes nothing, an empty array or an empty map; a static one no context") {
    Signature none({}, false);
    for (const std::vector<uint8_t> &request : {std::vector<uint8_t>{}, {0x80}, {0xa0}, {0x9f, 0xff}})
        CHECK(call(none, nothing, request, nullptr) == "0 called");
    CHECK(call(none, nothing, cbor({1}), nullptr) == "refused: the method has 0 parameters, the request 1");
    Heard heard;
    call(Signature({NimffiType::Uint32}, true), statically, cbor({42}), nullptr, &heard);
    CHECK(heard.ret == 42);
}

TEST_CASE("a parameter that cannot be is named, and the function is not called") {
    auto why = [](NimffiType type, const std::vector<uint8_t> &request) {
        Heard heard;
        std::string said = call(Signature({NimffiType::Bool, type}, false), nothing, request, nullptr, &heard);
        CHECK(heard.ret == -1);
        return said;
    };
    CHECK(why(NimffiType::Int32, cbor({true, 2147483648u})) == "refused: parameter 2 is above what its type holds");
    CHECK(why(NimffiType::Int32, cbor({true, -2147483649LL})) == "refused: parameter 2 is below what its type holds");
    CHECK(why(NimffiType::Uint8, cbor({true, 256})) == "refused: parameter 2 is above what its type holds");
    CHECK(why(NimffiType::Uint64, cbor({true, -1})) == "refused: parameter 2 is below what its type holds");
    CHECK(why(NimffiType::Int64, cbor({true, UINT64_MAX})) == "refused: parameter 2 is above what its type holds");
    CHECK(why(NimffiType::Int32, cbor({true, 1.5})) == "refused: parameter 2 must be an integer");
    CHECK(why(NimffiType::Int32, cbor({true, nullptr})) == "refused: parameter 2 must be an integer");
    CHECK(why(NimffiType::Bool, cbor({true, 1})) == "refused: parameter 2 must be true or false");
    CHECK(why(NimffiType::Double, cbor({true, "1"})) == "refused: parameter 2 must be a number");
    CHECK(why(NimffiType::String, cbor({true, 1})) == "refused: parameter 2 must be a text string, in one piece");
    CHECK(why(NimffiType::String, cbor({true, std::string("a\0b", 3)})) ==
          "refused: parameter 2 must not hold a zero byte");
    CHECK(why(NimffiType::String, cbor({1, "x"})) == "refused: parameter 1 must be true or false");
    CHECK(why(NimffiType::String, {0x82, 0xf5, 0x7f, 0x61, 'a', 0xff}) ==
          "refused: parameter 2 must be a text string, in one piece");
    CHECK(why(NimffiType::String, cbor({{"a", 1}})) == "refused: the request must be a CBOR array of parameters");
    CHECK(why(NimffiType::String, {}).rfind("refused: the request is no CBOR", 0) == 0);
    CHECK(why(NimffiType::String, {0x82, 0xf5}).rfind("refused: the request is no CBOR", 0) == 0);
    CHECK(why(NimffiType::String, std::vector<uint8_t>(100000, 0x81)).rfind("refused: the request is no CBOR", 0) == 0);
}
