// What a stub needs to know of a module, from its manifest's file.
#pragma once

#include <string>

#include "base/nimffi_settings.h"
#include "base/result.h"

namespace berth::cli {

struct ModuleFile {
    std::string name;
    std::string library; // relative paths are relative to the file's folder
    NimffiSettings nimffi;
};

// The error names file and key. What has nothing to do with a stub is not looked at: berthd says what is wrong there.
Result<ModuleFile> read_module_file(const std::string &path);

} // namespace berth::cli
