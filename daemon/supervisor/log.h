// berthd's log: a line for each thing that an operator may ask about. On the loop's thread. spdlog is behind it, as its
// header costs a compiler more than most files that say something.
#pragma once

#include <fmt/core.h>
#include <string>

namespace berth::log {

enum class Level { kDebug, kInfo, kWarn, kError };

// To standard error, from the named level on: trace, debug, info, warning, error, critical, off.
void start(const std::string &level);

void write(Level level, fmt::string_view format, fmt::format_args args);

template <typename... Args> void debug(fmt::format_string<Args...> format, Args &&...args) {
    write(Level::kDebug, format, fmt::make_format_args(args...));
}

template <typename... Args> void info(fmt::format_string<Args...> format, Args &&...args) {
    write(Level::kInfo, format, fmt::make_format_args(args...));
}

template <typename... Args> void warn(fmt::format_string<Args...> format, Args &&...args) {
    write(Level::kWarn, format, fmt::make_format_args(args...));
}

template <typename... Args> void error(fmt::format_string<Args...> format, Args &&...args) {
    write(Level::kError, format, fmt::make_format_args(args...));
}

} // namespace berth::log
