// A value, or why there is none.
#ifndef BERTH_CPP_RESULT_HPP
#define BERTH_CPP_RESULT_HPP

#include "error.hpp"

#include <cstdlib>
#include <utility>
#include <variant>

namespace berth {

// As std::expected<T, Error>, which C++17 has not. Without exceptions there is nothing to throw: asking for what is not
// there ends the program (std::abort), in every build.
template <class T> class [[nodiscard]] Result {
  public:
    Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}
    explicit Result(std::in_place_t) : held_(std::in_place_index<0>) {} // a T(), to be filled where it stands

    bool has_value() const noexcept { return held_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    T &value() & noexcept { return *checked(std::get_if<0>(&held_)); }
    const T &value() const & noexcept { return *checked(std::get_if<0>(&held_)); }
    T &&value() && noexcept { return std::move(value()); }
    T &operator*() & noexcept { return value(); }
    const T &operator*() const & noexcept { return value(); }
    T &&operator*() && noexcept { return std::move(value()); }
    T *operator->() noexcept { return &value(); }
    const T *operator->() const noexcept { return &value(); }

    const Error &error() const noexcept { return *checked(std::get_if<1>(&held_)); }
    int ret() const noexcept { return has_value() ? static_cast<int>(BERTH_RET_OK) : error().ret(); }

  private:
    template <class Pointer> static Pointer checked(Pointer pointer) noexcept {
        return pointer ? pointer : (std::abort(), pointer);
    }

    std::variant<T, Error> held_;
};

template <> class [[nodiscard]] Result<void> {
  public:
    Result() noexcept = default;
    Result(Error error) : error_(std::move(error)) {}
    static Result from(int ret) { return ret == BERTH_RET_OK ? Result() : Result(Error(ret)); }

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    const Error &error() const noexcept { return error_ ? *error_ : (std::abort(), *error_); }
    int ret() const noexcept { return error_ ? error_->ret() : static_cast<int>(BERTH_RET_OK); }

  private:
    std::optional<Error> error_;
};

} // namespace berth

#endif
