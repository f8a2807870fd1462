// Bytes that somebody else holds.
#ifndef BERTH_CPP_BYTES_HPP
#define BERTH_CPP_BYTES_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace berth {

// A view, as std::span<const std::byte> is one (C++17 has none). Made from any container of one-byte elements: strings,
// string views, vectors, arrays, spans.
class Bytes {
  public:
    constexpr Bytes() noexcept = default;
    constexpr Bytes(const std::uint8_t *data, std::size_t size) noexcept : data_(data), size_(size) {}
    Bytes(const void *data, std::size_t size) noexcept : Bytes(static_cast<const std::uint8_t *>(data), size) {}
    // Up to its first zero byte; where one may be within, take a std::string_view with its length. NULL is no bytes.
    Bytes(const char *text) noexcept : Bytes(text, text ? std::strlen(text) : 0) {}
    template <class Container,
              class Element = std::remove_pointer_t<decltype(std::declval<const Container &>().data())>,
              class = std::enable_if_t<sizeof(Element) == 1 && std::is_trivially_copyable_v<Element>>>
    Bytes(const Container &container) noexcept : Bytes(static_cast<const void *>(container.data()), container.size()) {}

    constexpr const std::uint8_t *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr const std::uint8_t *begin() const noexcept { return data_; }
    constexpr const std::uint8_t *end() const noexcept { return data_ + size_; }
    std::string_view text() const noexcept { return {reinterpret_cast<const char *>(data_), size_}; }
    std::string str() const { return std::string(text()); }

  private:
    const std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace berth

#endif
