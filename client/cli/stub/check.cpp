#include "stub/check.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace berth::cli {
namespace {

using Differences = std::vector<std::string>;

std::string quoted(const std::string &text) { return text.empty() ? "none" : "\"" + text + "\""; }

void compare_versions(const ElfSymbols &original, const ElfSymbols &stub, Differences &out) {
    std::map<std::string, std::vector<std::string>> theirs;
    for (const auto &version : stub.versions)
        theirs.emplace(version.name, version.parents);
    for (const auto &version : original.versions) {
        auto found = theirs.find(version.name);
        if (found == theirs.end())
            out.push_back(fmt::format("version {}: missing", version.name));
        else if (found->second != version.parents)
            out.push_back(fmt::format("version {}: builds on [{}], not on [{}]", version.name,
                                      fmt::join(found->second, " "), fmt::join(version.parents, " ")));
        theirs.erase(version.name);
    }
    for (const auto &[name, parents] : theirs)
        out.push_back(fmt::format("version {}: not in the original", name));
}

const char *kind(const ElfSymbol &symbol) { return symbol.is_function ? "a function" : "data"; }

void compare_symbols(const ElfSymbols &original, const ElfSymbols &stub, Differences &out) {
    std::map<std::string, const ElfSymbol *> theirs;
    for (const auto &symbol : stub.symbols)
        theirs.emplace(elf_symbol_text(symbol), &symbol);
    for (const auto &symbol : original.symbols) {
        std::string text = elf_symbol_text(symbol);
        auto found = theirs.find(text);
        if (found == theirs.end())
            out.push_back(fmt::format("symbol {}: missing", text));
        else if (found->second->is_function != symbol.is_function)
            out.push_back(fmt::format("symbol {}: {}, not {}", text, kind(*found->second), kind(symbol)));
        theirs.erase(text);
    }
    for (const auto &[text, symbol] : theirs)
        out.push_back(fmt::format("symbol {}: not in the original", text));
}

} // namespace

std::vector<std::string> stub_differences(const ElfSymbols &original, const ElfSymbols &stub) {
    Differences out;
    if (original.soname != stub.soname)
        out.push_back(fmt::format("soname: {}, not {}", quoted(stub.soname), quoted(original.soname)));
    compare_versions(original, stub, out);
    compare_symbols(original, stub, out);
    return out;
}

} // namespace berth::cli
