// Whether one library can stand in another's place, as far as the loader and the linker look.
#pragma once

#include <string>
#include <vector>

#include "base/elf_symbols.h"

namespace berth::cli {

// One line for each difference that a program linked to `original` would notice with `stub` in its place; what the stub
// has beyond that is no difference, but for symbols, which could clash with others in the same program.
std::vector<std::string> stub_differences(const ElfSymbols &original, const ElfSymbols &stub);

} // namespace berth::cli
