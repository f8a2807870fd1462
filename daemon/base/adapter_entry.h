// What worker and adapter agree on. An adapter is a shared library beside the worker that makes a module of a library
// with another ABI; the worker loads it, and the adapter the library. Both are installed together.
#pragma once

#include <cstddef>

struct berth_module;
struct berth_worker;

namespace berth {

constexpr const char *kAdapterSymbol = "berth_adapter";
constexpr int kAdapterSettingsFd = 5; // the worker's: a memfd with the adapter's part of the manifest

struct AdapterInput {
    const char *library; // path
    const char *settings;
    size_t settings_len;
};

// Called once, on the library thread. The module lives as long as the process. NULL with the reason in `why`.
using AdapterEntry = const struct ::berth_module *(*)(const struct ::berth_worker *worker, const AdapterInput *input,
                                                     char *why, size_t why_size);

} // namespace berth
