#include "module_init.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include <toml++/toml.h>

#include "base/elf_hints.h"
#include "base/elf_symbols.h"
#include "base/nimffi_symbols.h"

namespace berth::cli {
namespace {

using Names = std::vector<std::string>;

std::string quoted(const std::string &text) {
    std::ostringstream out;
    out << toml::toml_formatter(toml::value<std::string>(text), toml::toml_formatter::default_flags &
                                                                    ~toml::format_flags::allow_literal_strings);
    return out.str();
}

// A file may hold any bytes for a name; those that are no C identifiers are nobody's functions, and stay out of the
// manifest.
bool is_identifier(const std::string &name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
}

std::string list(const Names &names) {
    std::string out;
    for (const auto &name : names)
        out += (out.empty() ? "" : ", ") + quoted(name);
    return "[" + out + "]";
}

std::string sentence(const Names &names) {
    std::string out;
    for (const auto &name : names)
        out += (out.empty() ? "" : " ") + name;
    return out.empty() ? "none" : out;
}

Names functions_of(const ElfSymbols &elf) {
    Names names;
    for (const auto &symbol : elf.symbols)
        if (symbol.is_function && is_identifier(symbol.name) && (names.empty() || names.back() != symbol.name))
            names.push_back(symbol.name);
    return names;
}

// What a module may be called, of a file's name: libmy-timer.so.1 is my-timer.
std::string name_of(const std::filesystem::path &library) {
    std::string name = library.filename().string();
    name = name.substr(0, name.find(".so"));
    if (name.starts_with("lib") && name.size() > 3)
        name.erase(0, 3);
    for (char &c : name)
        if (!isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '-')
            c = '_';
    return name.empty() ? "module" : name.substr(0, 64);
}

// By custom an event is called on_something; other names in the file are its own business.
Names event_names(const ElfHints &hints) {
    Names events;
    std::copy_if(hints.names.begin(), hints.names.end(), std::back_inserter(events),
                 [](const std::string &name) { return name.starts_with("on_") && name.size() > 3; });
    return events;
}

class Writer {
  public:
    Writer(const std::filesystem::path &library, const ElfHints &hints) : library_(library), hints_(hints) {}

    std::string module() {
        head(name_of(library_));
        return text_;
    }

    std::string nimffi(const NimffiSymbols &symbols) {
        head(symbols.prefix.size() <= 64 ? symbols.prefix : name_of(library_));
        line("adapter = \"nim-ffi\"");
        line("# recycle = \"context\"  # one process for one context after the other; only for a library without globals");
        line("");
        line("[nim-ffi]");
        line("prefix = " + quoted(symbols.prefix));
        line(std::string("generation = ") + (symbols.json ? "\"json\"" : "\"cbor\""));
        line("destroy_arguments = 3  # guessed; 1 where " + symbols.prefix + "_destroy takes the context alone");
        line("# deadline_ms = 30000  # when a request that the library never answers fails; not set: never");
        initialisers(symbols);
        if (!symbols.json)
            cbor(symbols);
        else
            json(symbols);
        return text_;
    }

  private:
    void line(const std::string &content) { text_ += content + "\n"; }

    void head(const std::string &name) {
        line("# From the symbols of the library. What they do not tell is guessed, and says so.");
        line("name = " + quoted(name));
        line("library = " + quoted(library_.string()));
    }

    void initialisers(const NimffiSymbols &symbols) {
        for (const auto &name : symbols.initialisers)
            if (hints_.own_references.contains(name))
                line("# initialisers = " + list({name}) + "  # guessed: not needed, as the library calls it itself");
            else
                line("initialisers = " + list({name}) + "  # guessed: nothing in the library seems to call it");
    }

    void cbor(const NimffiSymbols &symbols) {
        line("static = []  # guessed; those of the methods below that take no context");
        if (symbols.listeners)
            line("events = " + list(event_names(hints_)) + "  # guessed from texts in the library");
        line("# methods: " + sentence(symbols.methods));
    }

    void json(const NimffiSymbols &symbols) {
        line("");
        line("[nim-ffi.methods]");
        line("# A method can be called once its C parameters behind callback and user data stand here, as in");
        line("# publish = [\"string\", \"string\", \"uint\"]");
        for (const auto &method : symbols.methods)
            line(method == "start" || method == "stop" ? method + " = []  # as in every library"
                                                       : "# " + method + " = []  # unknown");
    }

    std::filesystem::path library_;
    const ElfHints &hints_;
    std::string text_;
};

} // namespace

Result<std::string> module_manifest(const std::string &library) {
    auto elf = read_elf_symbols(library);
    if (!elf)
        return elf.error();
    auto hints = read_elf_hints(library);
    if (!hints)
        return hints.error();
    Names functions = functions_of(*elf);
    Writer writer(std::filesystem::absolute(library).lexically_normal(), *hints);
    if (std::binary_search(functions.begin(), functions.end(), "berth_module"))
        return writer.module();
    auto symbols = nimffi_symbols(functions, "");
    if (!symbols)
        return Error{1, library + ": no module, as it has no berth_module, and " + symbols.error().text};
    return writer.nimffi(*symbols);
}

} // namespace berth::cli
