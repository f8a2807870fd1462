// What a shared library's file lets one guess beyond its symbols. Read from the file, nothing is run, and no hint is
// more than that.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace berth {

struct ElfHints {
    std::vector<std::string> names;       // identifiers that stand as whole texts in its constant data, sorted
    std::set<std::string> own_references; // symbols of its own that it refers to by their names: it calls them itself
};

// The error names the file and what is wrong with it.
Result<ElfHints> read_elf_hints(const std::string &path);

} // namespace berth
