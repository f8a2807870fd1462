#include "cbor_text.h"

#include <nlohmann/json.hpp>

namespace berth::test {
namespace {

using Json = nlohmann::json;

std::string encoded(const Json &value) {
    auto bytes = Json::to_cbor(value);
    return {bytes.begin(), bytes.end()};
}

Json decoded(const std::string &bytes) {
    return Json::from_cbor(bytes, true, false, Json::cbor_tag_handler_t::ignore);
}

Json at(const std::string &bytes, const std::string &pointer) {
    Json value = decoded(bytes);
    Json::json_pointer where(pointer);
    return !value.is_discarded() && value.contains(where) ? value[where] : Json();
}

} // namespace

std::string cbor(const std::string &json) { return encoded(Json::parse(json)); }

std::string json(const std::string &bytes) {
    Json value = decoded(bytes);
    return value.is_discarded() ? "not CBOR" : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

int64_t number_at(const std::string &bytes, const std::string &pointer) {
    Json value = at(bytes, pointer);
    return value.is_number() ? value.get<int64_t>() : -1;
}

std::string text_at(const std::string &bytes, const std::string &pointer) {
    Json value = at(bytes, pointer);
    return value.is_string() ? value.get<std::string>() : "";
}

std::string later_request(uint64_t ms, const std::string &data) {
    return encoded({{"ms", ms}, {"data", Json::binary(std::vector<uint8_t>(data.begin(), data.end()))}});
}

} // namespace berth::test
