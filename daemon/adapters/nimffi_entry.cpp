// The entry point of the adapter for nim-ffi libraries.
#include <cstdio>
#include <exception>

#include "adapters/nimffi_adapter.h"

extern "C" __attribute__((visibility("default"))) const struct berth_module *
berth_adapter(const berth_worker *worker, const berth::AdapterInput *input, char *why, size_t why_size) {
    try {
        auto adapter = berth::nimffi::Adapter::make(worker, *input);
        if (adapter)
            return (*adapter)->module();
        std::snprintf(why, why_size, "%s", adapter.error().text.c_str());
    } catch (const std::exception &error) {
        std::snprintf(why, why_size, "%s", error.what());
    }
    return nullptr;
}
