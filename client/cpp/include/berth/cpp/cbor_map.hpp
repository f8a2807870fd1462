// Berth's own payloads: CBOR maps of text keys to unsigned integers and texts.
#ifndef BERTH_CPP_CBOR_MAP_HPP
#define BERTH_CPP_CBOR_MAP_HPP

#include "bytes.hpp"

namespace berth::detail {

struct CborValue {
    bool is_text = false;
    std::uint64_t number = 0;
    std::string_view text;
};

class CborReader {
  public:
    explicit CborReader(Bytes bytes) noexcept : at_(bytes.data()), left_(bytes.size()) {}

    // False: not one of `major`, or cut short.
    bool head(unsigned major, std::uint64_t *argument) noexcept {
        if (left_ == 0 || at_[0] >> 5 != major || (at_[0] & 31) > 27)
            return false;
        unsigned low = at_[0] & 31;
        std::size_t bytes = low < 24 ? 0 : std::size_t(1) << (low - 24);
        if (left_ <= bytes)
            return false;
        *argument = bytes ? 0 : low;
        for (std::size_t i = 1; i <= bytes; i++)
            *argument = *argument << 8 | at_[i];
        skip(1 + bytes);
        return true;
    }
    bool text(std::string_view *out) noexcept {
        std::uint64_t len;
        if (!head(3, &len) || len > left_)
            return false;
        *out = {reinterpret_cast<const char *>(at_), static_cast<std::size_t>(len)};
        skip(static_cast<std::size_t>(len));
        return true;
    }
    bool value(CborValue *out) noexcept {
        out->is_text = left_ > 0 && at_[0] >> 5 == 3;
        return out->is_text ? text(&out->text) : head(0, &out->number);
    }

  private:
    void skip(std::size_t count) noexcept {
        at_ += count;
        left_ -= count;
    }
    const std::uint8_t *at_;
    std::size_t left_;
};

// Calls each(key, value) up to the first that is neither integer nor text, or is cut short.
template <class Each> void for_each_entry(Bytes map, Each &&each) {
    CborReader reader(map);
    std::uint64_t entries;
    std::string_view key;
    CborValue value;
    if (!reader.head(5, &entries))
        return;
    for (; entries > 0 && reader.text(&key) && reader.value(&value); entries--)
        each(key, value);
}

} // namespace berth::detail

#endif
