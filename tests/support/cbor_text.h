// CBOR payloads by their JSON.
#pragma once

#include <cstdint>
#include <string>

namespace berth::test {

std::string cbor(const std::string &json);
std::string json(const std::string &cbor); // "not CBOR" when it is not
// By JSON pointer ("/signal", "/workers/0/pid"). -1: not there, or no number.
int64_t number_at(const std::string &cbor, const std::string &pointer);
std::string text_at(const std::string &cbor, const std::string &pointer);
// {"ms": ms, "data": bytes of data}
std::string later_request(uint64_t ms, const std::string &data);

} // namespace berth::test
