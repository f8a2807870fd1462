#include "payload.h"

#include <algorithm>
#include <fmt/format.h>

#include "berth/berth.h"

namespace berth::table {
namespace {

bool has(const std::vector<std::string> &names, const std::string &name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool known_ret(const std::string &name) {
    for (int ret = BERTH_RET_OK; ret <= BERTH_RET_INVALID_ARGUMENT; ret++)
        if (name == berth_ret_name(ret))
            return true;
    return false;
}

std::string shown(const std::string &bytes) {
    std::string out;
    for (unsigned char c : bytes.substr(0, 60))
        out += c >= 0x20 && c < 0x7f ? std::string(1, static_cast<char>(c)) : fmt::format("\\x{:02x}", c);
    return fmt::format("{} bytes \"{}\"{}", bytes.size(), out, bytes.size() > 60 ? "…" : "");
}

std::string from_hex(const std::string &hex) {
    std::string bytes;
    if (hex.size() % 2 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)
        throw BadTable("not hex: " + hex);
    for (size_t i = 0; i < hex.size(); i += 2)
        bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return bytes;
}

std::string repeated(const std::string &text, size_t count) {
    std::string bytes;
    bytes.reserve(text.size() * count);
    while (count-- > 0)
        bytes += text;
    return bytes;
}

std::string numbered(size_t size, size_t index) {
    if (size < 4)
        throw BadTable("numbered: less than 4");
    std::string bytes(size, '\0');
    for (size_t i = 0; i < 4; i++)
        bytes[i] = static_cast<char>(index >> 8 * i);
    return bytes;
}

std::string cbor_difference(const Json &value, const std::string &bytes) {
    Json decoded = Json::from_cbor(bytes, true, false);
    if (decoded.is_discarded())
        return "the payload is no CBOR: " + shown(bytes);
    return decoded == value ? "" : "the payload is " + decoded.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string death_difference(const Json &expect, const std::optional<Death> &died) {
    if (!died)
        return "the answer says nothing of a death";
    auto wanted = [&](const char *key) {
        return expect.contains(key) ? std::optional(expect[key].get<int64_t>()) : std::nullopt;
    };
    auto text = [](std::optional<int64_t> value) { return value ? std::to_string(*value) : "none"; };
    if (died->signal == wanted("signal") && died->status == wanted("status") && died->pid > 0)
        return "";
    return fmt::format("it died with signal {}, status {}, pid {}", text(died->signal), text(died->status), died->pid);
}

const std::vector<std::string> kPayloads = {"cbor", "text", "hex", "repeat", "contains", "numbered", "died"};

} // namespace

void check_keys(const Json &map, const std::vector<std::string> &needed, const std::vector<std::string> &allowed) {
    if (!map.is_object())
        throw BadTable("not a map: " + map.dump());
    for (const auto &[key, value] : map.items())
        if (!has(needed, key) && !has(allowed, key))
            throw BadTable("unknown key: " + key);
    for (const std::string &key : needed)
        if (!map.contains(key))
            throw BadTable("missing key: " + key);
}

std::string bytes_of(const Json &input) {
    if (input.contains("count")) {
        check_keys(input, {"repeat", "count"}, {});
        return repeated(input["repeat"], input["count"]);
    }
    check_keys(input, {}, {"cbor", "text", "hex"});
    if (input.size() != 1)
        throw BadTable("not one form of input: " + input.dump());
    if (input.contains("text"))
        return input["text"];
    if (input.contains("hex"))
        return from_hex(input["hex"]);
    auto bytes = Json::to_cbor(input["cbor"]);
    return {bytes.begin(), bytes.end()};
}

void check_expectation(const Json &expect) {
    std::vector<std::string> allowed = kPayloads;
    allowed.insert(allowed.end(), {"ret", "count"});
    check_keys(expect, {}, allowed);
    auto payloads = std::count_if(kPayloads.begin(), kPayloads.end(), [&](auto &key) { return expect.contains(key); });
    if (payloads > 1 || expect.contains("repeat") != expect.contains("count"))
        throw BadTable("more than one payload, or half a repetition: " + expect.dump());
    if (expect.contains("died"))
        check_keys(expect["died"], {}, {"signal", "status"});
    if (!known_ret(expect.value("ret", "OK")))
        throw BadTable("unknown ret: " + expect["ret"].dump());
}

std::string difference(const Json &expect, const Reply &reply, size_t index) {
    std::string ret = expect.value("ret", "OK");
    if (reply.ret != ret)
        return fmt::format("{}, not {}; {}", reply.ret.empty() ? "no answer" : reply.ret, ret, shown(reply.bytes));
    if (expect.contains("cbor"))
        return cbor_difference(expect["cbor"], reply.bytes);
    if (expect.contains("died"))
        return death_difference(expect["died"], reply.died);
    if (expect.contains("contains")) {
        bool found = reply.bytes.find(expect["contains"].get<std::string>()) != std::string::npos;
        return found ? "" : "not in it: the payload is " + shown(reply.bytes);
    }
    std::optional<std::string> bytes;
    if (expect.contains("numbered"))
        bytes = numbered(expect["numbered"], index);
    else if (expect.contains("text") || expect.contains("hex") || expect.contains("repeat")) {
        Json input = expect;
        input.erase("ret");
        bytes = bytes_of(input);
    }
    if (!bytes || *bytes == reply.bytes)
        return "";
    return fmt::format("the payload is {}, not {}", shown(reply.bytes), shown(*bytes));
}

std::string difference(const Json &expect, const Closed &closed) {
    check_keys(expect, {}, {"ret", "outcome", "cut_off"});
    if (closed.ret != expect.value("ret", "OK"))
        return "close: " + (closed.ret.empty() ? "no answer" : closed.ret);
    if (closed.outcome != expect.value("outcome", closed.outcome) ||
        closed.cut_off != expect.value("cut_off", closed.cut_off))
        return fmt::format("it was {}, {} cut off", closed.outcome, closed.cut_off);
    return "";
}

} // namespace berth::table
