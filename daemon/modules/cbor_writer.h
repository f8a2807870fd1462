// Writes CBOR front to back into one buffer, up to the size that a reply may have.
#pragma once

#include <cbor.h>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace berth::sqlite {

class CborWriter {
  public:
    // A little under the 16 MiB that a reply may be, so that what closes it always fits.
    static constexpr size_t kLimit = (16u << 20) - 64;

    bool full() const { return bytes_.size() > kLimit; }
    size_t size() const { return bytes_.size(); }
    const std::vector<uint8_t> &bytes() const { return bytes_; }

    void map(uint64_t pairs) { head(cbor_encode_map_start, pairs); }
    void array(uint64_t items) { head(cbor_encode_array_start, items); }
    void integer(int64_t value) { // -1 - n is written as n
        value < 0 ? head(cbor_encode_negint, ~static_cast<uint64_t>(value)) : head(cbor_encode_uint, value);
    }
    void real(double value) { head(cbor_encode_double, value); }
    void null() { bytes_.push_back(0xf6); }
    void text(std::string_view value) { string(cbor_encode_string_start, value); }
    void blob(std::string_view value) { string(cbor_encode_bytestring_start, value); }

    // Heads what was written from `at` on as an array of so many items.
    void make_array(size_t at, uint64_t items) {
        unsigned char start[16];
        size_t len = cbor_encode_array_start(items, start, sizeof start);
        bytes_.insert(bytes_.begin() + static_cast<std::ptrdiff_t>(at), start, start + len);
    }

  private:
    template <class Encode, class Value> void head(Encode encode, Value value) {
        unsigned char start[16];
        size_t len = encode(value, start, sizeof start);
        bytes_.insert(bytes_.end(), start, start + len);
    }

    // What would pass the limit is left out: one value may be as large as SQLite allows.
    template <class Encode> void string(Encode encode, std::string_view value) {
        head(encode, value.size());
        if (value.size() > kLimit)
            bytes_.resize(kLimit + 1);
        else
            bytes_.insert(bytes_.end(), value.begin(), value.end());
    }

    std::vector<uint8_t> bytes_;
};

} // namespace berth::sqlite
