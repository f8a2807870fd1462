// A value, or one line that says what went wrong.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace berth {

struct Error {
    int ret = 1; // a berth_ret
    std::string text;
};

template <class T> class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::move(value)) {}
    Result(Error error) : state_(std::move(error)) {}
    explicit operator bool() const { return state_.index() == 0; }
    T &operator*() { return std::get<0>(state_); }
    T *operator->() { return &std::get<0>(state_); }
    const Error &error() const { return std::get<1>(state_); }

  private:
    std::variant<T, Error> state_;
};

} // namespace berth
