// A nim-ffi library, loaded: its functions, as symbols and manifest say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/nimffi_abi.h"
#include "adapters/nimffi_signature.h"
#include "base/nimffi_settings.h"
#include "base/nimffi_symbols.h"
#include "base/result.h"

namespace berth::nimffi {

struct LibraryMethod {
    std::string name;   // as hosts know it
    std::string symbol; // for messages
    void *function = nullptr;
    bool is_static = false;
    std::optional<Signature> signature; // of the older generation
};

struct Library {
    // Reads the file's symbols, loads it, and finds what the settings name. Runs the library's constructors, and none
    // of its functions. The error names the file, and the symbol that is missing.
    static Result<Library> load(const std::string &path, const NimffiSettings &settings);

    std::string prefix;
    std::string version; // its soname, or ""
    bool json = false;
    uint32_t destroy_arguments = 3;
    void *create = nullptr; // Create, or New of the older generation
    void *destroy = nullptr;
    AddListener add_listener = nullptr;            // may be absent
    SetEventCallback set_event_callback = nullptr; // may be absent
    std::vector<Initialiser> initialisers;
    std::vector<LibraryMethod> methods;
};

} // namespace berth::nimffi
