#include "supervisor/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace berth::log {
namespace {

spdlog::level::level_enum as_spdlog(Level level) {
    switch (level) {
    case Level::kDebug:
        return spdlog::level::debug;
    case Level::kInfo:
        return spdlog::level::info;
    case Level::kWarn:
        return spdlog::level::warn;
    case Level::kError:
        break;
    }
    return spdlog::level::err;
}

} // namespace

void start(const std::string &level) {
    auto log = spdlog::stderr_logger_st("berthd");
    log->set_level(spdlog::level::from_str(level));
    log->set_pattern("%Y-%m-%d %H:%M:%S.%e %l: %v");
    log->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(log));
}

void write(Level level, fmt::string_view format, fmt::format_args args) {
    if (spdlog::should_log(as_spdlog(level)))
        spdlog::log(as_spdlog(level), "{}", fmt::vformat(format, args));
}

} // namespace berth::log
