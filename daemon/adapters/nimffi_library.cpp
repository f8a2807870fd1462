#include "adapters/nimffi_library.h"

#include <algorithm>
#include <dlfcn.h>

#include "base/elf_symbols.h"

namespace berth::nimffi {
namespace {

std::vector<std::string> functions_of(const ElfSymbols &elf) {
    std::vector<std::string> names;
    for (const auto &symbol : elf.symbols)
        if (symbol.is_function && (names.empty() || names.back() != symbol.name))
            names.push_back(symbol.name);
    return names;
}

class Loader {
  public:
    Loader(const std::string &path, const NimffiSettings &settings) : path_(path), settings_(settings) {}

    Result<Library> load() {
        auto elf = read_elf_symbols(path_);
        if (!elf)
            return elf.error();
        auto symbols = nimffi_symbols(functions_of(*elf), settings_.prefix);
        if (!symbols)
            return Error{1, path_ + ": " + symbols.error().text};
        handle_ = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!handle_)
            return Error{1, std::string("cannot load the library: ") + dlerror()};
        fill(*symbols);
        library_.version = elf->soname;
        if (!missing_.empty())
            return Error{1, path_ + ": it has no function " + missing_};
        return std::move(library_);
    }

  private:
    template <class Function = void *> Function find(const std::string &symbol) {
        void *found = dlsym(handle_, symbol.c_str());
        if (!found && missing_.empty())
            missing_ = symbol;
        return reinterpret_cast<Function>(found);
    }

    void fill(const NimffiSymbols &symbols) {
        std::string start = symbols.prefix + "_";
        library_.prefix = symbols.prefix;
        library_.json = settings_.json.value_or(symbols.json);
        library_.destroy_arguments = settings_.destroy_arguments;
        library_.create = find(start + (library_.json ? "new" : "create"));
        library_.destroy = find(start + "destroy");
        if (symbols.listeners && !library_.json)
            library_.add_listener = find<AddListener>(start + "add_event_listener");
        if (!symbols.event_callback.empty() && library_.json)
            library_.set_event_callback = find<SetEventCallback>(symbols.event_callback);
        for (const auto &name : settings_.initialisers)
            library_.initialisers.push_back(find<Initialiser>(name));
        library_.json ? json_methods(symbols) : cbor_methods(symbols);
        for (const auto &name : settings_.statics) // one that names nothing is a mistake to be told
            find(start + name);
    }

    void add(const NimffiSymbols &symbols, const std::string &name, std::optional<Signature> signature) {
        std::string symbol = symbols.prefix + "_" + name;
        library_.methods.push_back({name, symbol, find(symbol), settings_.is_static(name), std::move(signature)});
    }

    void cbor_methods(const NimffiSymbols &symbols) {
        for (const auto &name : symbols.methods)
            add(symbols, name, std::nullopt);
    }

    // Only what has a signature can be called; that of start and stop is everybody's.
    void json_methods(const NimffiSymbols &symbols) {
        auto methods = settings_.methods;
        for (const char *name : {"start", "stop"})
            if (std::binary_search(symbols.methods.begin(), symbols.methods.end(), name))
                methods.try_emplace(name);
        for (const auto &[name, types] : methods)
            add(symbols, name, Signature(types, settings_.is_static(name)));
    }

    const std::string &path_;
    const NimffiSettings &settings_;
    void *handle_ = nullptr;
    std::string missing_; // the first
    Library library_;
};

} // namespace

Result<Library> Library::load(const std::string &path, const NimffiSettings &settings) {
    return Loader(path, settings).load();
}

} // namespace berth::nimffi
