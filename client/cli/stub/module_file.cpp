#include "stub/module_file.h"

#include <filesystem>
#include <fmt/format.h>
#include <toml++/toml.h>

namespace berth::cli {
namespace {

Result<ModuleFile> read(const toml::table &table, const std::string &path) {
    std::filesystem::path file(path);
    ModuleFile module;
    std::string mistake;
    if (table["adapter"].value_or(std::string()) != "nim-ffi")
        return Error{1, fmt::format("{}: key 'adapter': not \"nim-ffi\": a stub stands in for a library of that kind",
                                    path)};
    module.name = table["name"].value_or(file.stem().string());
    module.library = table["library"].value_or(std::string());
    if (module.library.empty())
        return Error{1, fmt::format("{}: key 'library': missing", path)};
    module.library = (file.parent_path() / module.library).lexically_normal().string();
    if (auto *settings = table["nim-ffi"].as_table())
        module.nimffi = read_nimffi_settings(
            *settings, [&](uint32_t line, const std::string &key, const std::string &what) {
                if (mistake.empty())
                    mistake = fmt::format("{}:{}: key '{}': {}", path, line, key, what);
            });
    if (!mistake.empty())
        return Error{1, mistake};
    return module;
}

} // namespace

Result<ModuleFile> read_module_file(const std::string &path) {
    try {
        return read(toml::parse_file(path), path);
    } catch (const toml::parse_error &error) {
        return Error{1, fmt::format("{}:{}: {}", path, error.source().begin.line, error.description())};
    }
}

} // namespace berth::cli
