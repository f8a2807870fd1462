// The table [nim-ffi] of a manifest: what a nim-ffi library's symbols do not say of it. berth-modules(5) has the keys.
//
// The supervisor checks it and hands it to the adapter as TOML, which reads it with the same function.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

#include "base/result.h"

namespace berth {

// C types of the older generation's parameters, in an order of our own.
enum class NimffiType { String, Bool, Int8, Uint8, Int16, Uint16, Int32, Uint32, Int64, Uint64, Float, Double };

// "string", "int" …; none for a name that is no type.
std::optional<NimffiType> nimffi_type(std::string_view name);
std::string nimffi_type_names(); // for messages, a comma between

struct NimffiSettings {
    std::string prefix;           // "": the only one there is
    std::optional<bool> json;     // none: as the symbols say
    uint32_t destroy_arguments = 3;
    uint32_t deadline_ms = 0;     // 0: none
    std::vector<std::string> statics, events, initialisers;
    std::map<std::string, std::vector<NimffiType>> methods; // of the older generation

    bool is_static(const std::string &method) const;
};

// Called for each mistake, with its line, its key as `nim-ffi.KEY`, and what is wrong.
using NimffiMistake = std::function<void(uint32_t line, const std::string &key, const std::string &what)>;

NimffiSettings read_nimffi_settings(const toml::table &table, const NimffiMistake &mistake);

// What the worker gets: whether the process is used for one context after the other, and the table.
std::string nimffi_document(const toml::table &table, bool reused);
struct NimffiDocument {
    NimffiSettings settings;
    bool reused = false;
};
Result<NimffiDocument> read_nimffi_document(std::string_view text);

} // namespace berth
