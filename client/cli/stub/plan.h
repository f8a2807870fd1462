// What a stub is to be: one entry for each symbol of the original.
#pragma once

#include <string>
#include <vector>

#include "base/elf_symbols.h"
#include "base/nimffi_settings.h"
#include "base/result.h"

namespace berth::cli {

enum class StubKind {
    Create,        // void *(const uint8_t *, size_t, cb, ud)
    New,           // void *(const char *, cb, ud): the JSON generation
    Method,        // int (ctx, cb, ud, const uint8_t *, size_t)
    Arguments,     // int (ctx, cb, ud, C values…)
    Static,        // int (cb, ud, const uint8_t *, size_t)
    StaticArguments, // int (cb, ud, C values…)
    Destroy,       // int (ctx)
    DestroyAsync,  // int (ctx, cb, ud)
    AddListener,   // uint64_t (ctx, event, cb, ud)
    RemoveListener,// int (ctx, uint64_t)
    EventCallback, // void (ctx, cb, ud)
    Nothing,       // void (void)
};

struct StubSymbol {
    ElfSymbol elf;
    StubKind kind;
    std::string method; // as the module has it; EventCallback: the event's name
    std::vector<NimffiType> types; // Arguments, StaticArguments
};

struct StubPlan {
    std::string module;
    std::string module_dir; // "": none baked in
    bool json = false, keep_replies = false, no_progress = false, later_codes = false;
    std::string soname;
    std::vector<ElfVersion> versions;
    std::vector<StubSymbol> symbols;
    std::vector<std::string> left_out; // symbols of the original that are no part of its ABI for hosts
    std::vector<std::string> without_signature; // of the older generation: the module does not have them
};

// Sorts the original's symbols by what they are to a host, as the manifest's settings and the names say. The error says
// why it is no nim-ffi library.
Result<StubPlan> plan_stub(const NimffiSettings &settings, const ElfSymbols &original);

// The generated source, and the linker's version script.
std::string stub_source(const StubPlan &plan);
std::string stub_version_script(const StubPlan &plan);

} // namespace berth::cli
