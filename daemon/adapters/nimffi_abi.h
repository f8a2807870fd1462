// The C ABI of nim-ffi libraries, as far as a caller needs it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace berth::nimffi {

enum Code { kOk = 0, kErr = 1, kMissingCallback = 2, kStaleWarn = 3 };

// `msg` is valid during the call only.
using Callback = void (*)(int ret, const char *msg, size_t len, void *user_data);

using Create = void *(*)(const uint8_t *config, size_t len, Callback, void *);
using New = void *(*)(const char *config_json, Callback, void *);
using Method = int (*)(void *ctx, Callback, void *, const uint8_t *request, size_t len);
using Static = int (*)(Callback, void *, const uint8_t *request, size_t len);
using DestroyBlocking = int (*)(void *ctx);
using DestroyAsync = int (*)(void *ctx, Callback, void *);
using AddListener = uint64_t (*)(void *ctx, const char *event, Callback, void *);
using SetEventCallback = void (*)(void *ctx, Callback, void *);
using Initialiser = void (*)();

} // namespace berth::nimffi
