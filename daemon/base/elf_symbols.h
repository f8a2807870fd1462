// What a shared library says of itself: its name, and the symbols that it exports. Read from the file; nothing of it is
// loaded or run, and its bytes are not trusted.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace berth {

struct ElfSymbol {
    std::string name;
    std::string version;     // "": none
    bool is_default = true;  // foo@@V, the one that a new program is linked to; false: foo@V
    bool is_function = true; // false: data, thread-local data
    bool is_weak = false;
    auto operator<=>(const ElfSymbol &) const = default;
};

struct ElfVersion {
    std::string name;
    std::vector<std::string> parents; // versions that it builds on
    auto operator<=>(const ElfVersion &) const = default;
};

struct ElfSymbols {
    std::string soname;               // "": it has none
    std::vector<ElfVersion> versions; // in the file's order, without the entry for the file itself
    std::vector<ElfSymbol> symbols;   // defined and visible from outside, by name
};

// The error names the file and what is wrong with it.
Result<ElfSymbols> read_elf_symbols(const std::string &path);

// "foo", "foo@@V", "foo@V", as binutils writes them.
std::string elf_symbol_text(const ElfSymbol &symbol);

} // namespace berth
