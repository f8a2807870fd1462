#pragma once

namespace berth {

constexpr const char *kVersion = BERTH_VERSION; // from meson.build
constexpr const char *kDaemonName = "berthd " BERTH_VERSION;

} // namespace berth
