// The values of berth_ret (client/include/berth/berth.h) that a supervisor says; the daemon does not include the
// client's header.
#pragma once

namespace berth {

constexpr int kRetErr = 1;
constexpr int kRetTimeout = 4;
constexpr int kRetBusy = 7;
constexpr int kRetUnavailable = 12;
constexpr int kRetDenied = 13;
constexpr int kRetProtocol = 14;
constexpr int kRetNoModule = 16;
constexpr int kRetExhausted = 18;

} // namespace berth
