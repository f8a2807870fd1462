// JSON as people write it, CBOR as modules speak it. Bytes are {"$bytes": "<base16>"} in JSON, both ways.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace berth::cli {

using Json = nlohmann::ordered_json; // keys stay in the order in which they were written
using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

std::string to_base16(ByteView bytes);
Result<Bytes> from_base16(std::string_view text);

// The error names line and column.
Result<Json> parse_json(std::string_view text);
// JSON text to CBOR; empty text is the empty map.
Result<Bytes> encode_request(std::string_view json_text);
Result<Bytes> to_cbor(const Json &json);

// What a module answered: CBOR as JSON, else readable UTF-8 text, else bytes.
struct Shown {
    Json json;
    bool is_text = false; // it was no CBOR: show the text as it is, without quotes
};
Shown show(ByteView bytes);
// The same for people: text bare, JSON indented.
std::string show_for_people(ByteView bytes);
// One line; bytes that are no UTF-8 inside strings are replaced, never an exception.
std::string dump(const Json &json, int indent = -1);

// UTF-8 that a terminal can show: no control characters but line ends and tabs.
bool is_text(ByteView bytes);

} // namespace berth::cli
