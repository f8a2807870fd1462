#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "stub/plan.h"

namespace berth::cli {
namespace {

std::string c_string(const std::string &text) {
    std::string out = "\"";
    for (unsigned char c : text) {
        if (c == '"' || c == '\\')
            out += fmt::format("\\{}", static_cast<char>(c));
        else if (c < 0x20 || c >= 0x7f)
            out += fmt::format("\\{:03o}", c);
        else
            out += static_cast<char>(c);
    }
    return out + "\"";
}

std::string flags(const StubPlan &plan) {
    std::vector<std::string> names;
    if (plan.json)
        names.push_back("STUB_JSON");
    if (plan.no_progress)
        names.push_back("STUB_NO_PROGRESS");
    if (plan.later_codes)
        names.push_back("STUB_LATER_CODES");
    if (plan.keep_replies)
        names.push_back("STUB_KEEP_REPLIES");
    return names.empty() ? "0" : fmt::format("{}", fmt::join(names, " | "));
}

struct Argument {
    const char *c_type;
    char letter; // of berth_stub.h: how the runtime takes it, after C's promotions
};

Argument argument_of(NimffiType type) {
    switch (type) {
    case NimffiType::String: return {"const char *", 's'};
    case NimffiType::Bool: return {"bool ", 'b'};
    case NimffiType::Int8: return {"int8_t ", 'i'};
    case NimffiType::Uint8: return {"uint8_t ", 'u'};
    case NimffiType::Int16: return {"int16_t ", 'i'};
    case NimffiType::Uint16: return {"uint16_t ", 'u'};
    case NimffiType::Int32: return {"int32_t ", 'i'};
    case NimffiType::Uint32: return {"uint32_t ", 'u'};
    case NimffiType::Int64: return {"int64_t ", 'I'};
    case NimffiType::Uint64: return {"uint64_t ", 'U'};
    case NimffiType::Float: return {"float ", 'd'};
    default: return {"double ", 'd'};
    }
}

std::string with_arguments(const std::string &function, const StubSymbol &symbol) {
    std::string parameters, letters, names;
    for (size_t i = 0; i < symbol.types.size(); i++) {
        Argument argument = argument_of(symbol.types[i]);
        parameters += fmt::format(", {}a{}", argument.c_type, i + 1);
        names += fmt::format(", a{}", i + 1);
        letters += argument.letter;
    }
    std::string method = c_string(symbol.method);
    if (symbol.kind == StubKind::StaticArguments)
        return fmt::format("BERTH_STUB_EXPORT int {}(FFICallback cb, void *ud{}) {{\n"
                           "    return stub_call_static_arguments({}, cb, ud, \"{}\"{});\n}}\n",
                           function, parameters, method, letters, names);
    return fmt::format("BERTH_STUB_EXPORT int {}(void *ctx, FFICallback cb, void *ud{}) {{\n"
                       "    static struct stub_method method = {{{}, 0}};\n"
                       "    return stub_call_arguments(&method, ctx, cb, ud, \"{}\"{});\n}}\n",
                       function, parameters, method, letters, names);
}

std::string definition(const std::string &function, const StubSymbol &symbol) {
    std::string method = c_string(symbol.method);
    switch (symbol.kind) {
    case StubKind::Create: return fmt::format("BERTH_STUB_CREATE({})\n", function);
    case StubKind::New: return fmt::format("BERTH_STUB_NEW({})\n", function);
    case StubKind::Method: return fmt::format("BERTH_STUB_METHOD({}, {})\n", function, method);
    case StubKind::Arguments:
    case StubKind::StaticArguments: return with_arguments(function, symbol);
    case StubKind::Static: return fmt::format("BERTH_STUB_STATIC({}, {})\n", function, method);
    case StubKind::Destroy: return fmt::format("BERTH_STUB_DESTROY({})\n", function);
    case StubKind::DestroyAsync: return fmt::format("BERTH_STUB_DESTROY_ASYNC({})\n", function);
    case StubKind::AddListener: return fmt::format("BERTH_STUB_ADD_LISTENER({})\n", function);
    case StubKind::RemoveListener: return fmt::format("BERTH_STUB_REMOVE_LISTENER({})\n", function);
    case StubKind::EventCallback: return fmt::format("BERTH_STUB_EVENT_CALLBACK({}, {})\n", function, method);
    default: return fmt::format("BERTH_STUB_NOTHING({})\n", function);
    }
}

// foo@V beside foo@@V: a function each, and the linker is told which of them is which; by the version script alone it
// could not know.
bool says_its_version(const StubPlan &plan, const StubSymbol &symbol) {
    auto same_name = [&](const StubSymbol &other) { return other.elf.name == symbol.elf.name; };
    return !symbol.elf.is_default || std::count_if(plan.symbols.begin(), plan.symbols.end(), same_name) > 1;
}

} // namespace

std::string stub_source(const StubPlan &plan) {
    std::string out = fmt::format("/* {}: each call goes to berth's module \"{}\", in a process of its own.\n"
                                  " * Written by `berth stub`. */\n#include \"berth_stub.h\"\n\n",
                                  plan.soname.empty() ? "A drop-in stub" : plan.soname, plan.module);
    out += fmt::format("const struct stub_library berth_stub_library = {{\n    .module = {},\n    .module_dir = {},\n"
                       "    .flags = {},\n}};\n\n",
                       c_string(plan.module), plan.module_dir.empty() ? "NULL" : c_string(plan.module_dir),
                       flags(plan));
    for (size_t i = 0; i < plan.symbols.size(); i++) {
        const StubSymbol &symbol = plan.symbols[i];
        std::string function = symbol.elf.name;
        if (says_its_version(plan, symbol)) {
            function += fmt::format("_{}", i);
            out += fmt::format("__asm__(\".symver {}, {}, remove\");\n", function, elf_symbol_text(symbol.elf));
        }
        out += definition(function, symbol);
    }
    return out;
}

std::string stub_version_script(const StubPlan &plan) {
    std::map<std::string, std::string> names;
    for (const auto &symbol : plan.symbols)
        names[symbol.elf.version] += fmt::format("    {};\n", symbol.elf.name);
    if (plan.versions.empty())
        return fmt::format("{{\n  global:\n{}  local: *;\n}};\n", names[""]);
    // Symbols without a version, beside others that have one, are in no node: only visibility lets them out.
    std::string out;
    for (const auto &version : plan.versions) {
        out += fmt::format("{} {{\n", version.name);
        if (auto found = names.find(version.name); found != names.end())
            out += "  global:\n" + found->second;
        if (names.find("") == names.end() && &version == &plan.versions.front())
            out += "  local: *;\n";
        out += fmt::format("}}{}{};\n", version.parents.empty() ? "" : " ", fmt::join(version.parents, " "));
    }
    return out;
}

} // namespace berth::cli
