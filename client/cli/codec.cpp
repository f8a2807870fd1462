#include "codec.h"

#include "berth/berth.h"

namespace berth::cli {
namespace {

constexpr const char *kBytesKey = "$bytes";

int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool means_bytes(const Json &json) {
    return json.is_object() && json.size() == 1 && json.begin().key() == kBytesKey && json.begin()->is_string();
}

// {"$bytes"} maps become byte strings, wherever they stand. The text of the first that cannot, else "".
std::string take_bytes(Json &json) {
    if (means_bytes(json)) {
        auto bytes = from_base16(json.begin()->get_ref<const std::string &>());
        if (!bytes)
            return bytes.error().text;
        json = Json::binary(std::move(*bytes));
        return "";
    }
    if (json.is_structured())
        for (auto &item : json)
            if (auto problem = take_bytes(item); !problem.empty())
                return problem;
    return "";
}

void give_bytes(Json &json) {
    if (json.is_binary())
        json = Json{{kBytesKey, to_base16(json.get_binary())}};
    else if (json.is_structured())
        for (auto &item : json)
            give_bytes(item);
}

// "[json.exception.parse_error.101] parse error at line 1, column 3: …" without the machine's part.
std::string readable(const std::string &what) {
    auto end = what.find("] ");
    return end == std::string::npos ? what : what.substr(end + 2);
}

} // namespace

std::string to_base16(ByteView bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

Result<Bytes> from_base16(std::string_view text) {
    if (text.size() % 2)
        return Error{BERTH_RET_INVALID_ARGUMENT, "$bytes: an odd number of base16 digits"};
    Bytes bytes;
    bytes.reserve(text.size() / 2);
    for (size_t i = 0; i < text.size(); i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return Error{BERTH_RET_INVALID_ARGUMENT,
                         "$bytes: no base16 digit at " + std::to_string(high < 0 ? i : i + 1)};
        bytes.push_back(static_cast<uint8_t>(high << 4 | low));
    }
    return bytes;
}

Result<Json> parse_json(std::string_view text) {
    try {
        return Json::parse(text);
    } catch (const Json::exception &e) {
        return Error{BERTH_RET_INVALID_ARGUMENT, readable(e.what())};
    }
}

Result<Bytes> to_cbor(const Json &json) {
    Json copy = json;
    if (auto problem = take_bytes(copy); !problem.empty())
        return Error{BERTH_RET_INVALID_ARGUMENT, problem};
    return Json::to_cbor(copy);
}

Result<Bytes> encode_request(std::string_view json_text) {
    if (json_text.empty())
        return Bytes{0xa0};
    auto json = parse_json(json_text);
    if (!json)
        return json.error();
    return to_cbor(*json);
}

bool is_text(ByteView bytes) {
    for (uint8_t byte : bytes)
        if ((byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r') || byte == 0x7f)
            return false;
    try {
        Json(std::string(bytes.begin(), bytes.end())).dump();
        return true;
    } catch (const Json::exception &) {
        return false;
    }
}

Shown show(ByteView bytes) {
    Json json = Json::from_cbor(bytes.begin(), bytes.end(), true, false, Json::cbor_tag_handler_t::ignore);
    if (!json.is_discarded()) {
        give_bytes(json);
        return {std::move(json), false};
    }
    if (is_text(bytes))
        return {std::string(bytes.begin(), bytes.end()), true};
    return {Json{{kBytesKey, to_base16(bytes)}}, false};
}

std::string dump(const Json &json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace); }

std::string show_for_people(ByteView bytes) {
    Shown shown = show(bytes);
    return shown.is_text ? shown.json.get<std::string>() : dump(shown.json, 2);
}

} // namespace berth::cli
