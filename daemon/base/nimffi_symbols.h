// What the symbols of a nim-ffi library say about it: its name, its generation and its methods.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace berth {

struct NimffiSymbols {
    std::string prefix; // of its functions, without the underscore
    bool json = false;  // the older generation: PREFIX_new instead of PREFIX_create
    bool listeners = false;
    std::string event_callback;            // of the older generation; "": none
    std::vector<std::string> methods;      // without prefix, sorted; what every library has is left out
    std::vector<std::string> initialisers; // libPREFIXNimMain
};

// `functions`: the names that the library exports, sorted. `prefix`: which of several libraries in one file, or "" for
// the only one. The error says what is missing, or names the libraries there are.
Result<NimffiSymbols> nimffi_symbols(const std::vector<std::string> &functions, const std::string &prefix);

} // namespace berth
