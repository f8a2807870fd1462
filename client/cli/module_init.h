// A first manifest for a library that berth is to host, from the symbols in its file.
#pragma once

#include <string>

#include "base/result.h"

namespace berth::cli {

// The manifest's text: for a nim-ffi library of either generation, or for a module of berth's own kind. What is not in
// the symbols is guessed, and says so. Nothing of the library is run. The error names the file and what it lacks.
Result<std::string> module_manifest(const std::string &library);

} // namespace berth::cli
