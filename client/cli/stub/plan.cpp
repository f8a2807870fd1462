#include "stub/plan.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/nimffi_symbols.h"

namespace berth::cli {
namespace {

// What the adapter calls every event of the older generation, which has one callback for all of them.
constexpr const char *kEventOfJson = "event";

bool contains(const std::vector<std::string> &list, const std::string &name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

class Planner {
  public:
    Planner(const NimffiSettings &settings, const NimffiSymbols &known, StubPlan &plan)
        : settings_(settings), known_(known), plan_(plan) {}

    void take(const ElfSymbol &elf) {
        std::string start = known_.prefix + "_";
        if (!elf.is_function)
            plan_.left_out.push_back(elf_symbol_text(elf));
        else if (is_initialiser(elf.name))
            add(elf, StubKind::Nothing);
        else if (plan_.json && elf.name == known_.event_callback)
            add(elf, StubKind::EventCallback, kEventOfJson);
        else if (elf.name.starts_with(start))
            take_function(elf, elf.name.substr(start.size()));
        else
            plan_.left_out.push_back(elf_symbol_text(elf));
    }

  private:
    bool is_initialiser(const std::string &name) const {
        return contains(known_.initialisers, name) || contains(settings_.initialisers, name) ||
               name == "lib" + known_.prefix + "NimDestroyGlobals" || name == "NimMain";
    }

    void take_function(const ElfSymbol &elf, const std::string &method) {
        if (method == "destroy")
            add(elf, settings_.destroy_arguments == 1 ? StubKind::Destroy : StubKind::DestroyAsync);
        else if (method == (plan_.json ? "new" : "create"))
            add(elf, plan_.json ? StubKind::New : StubKind::Create);
        else if (method == "add_event_listener")
            add(elf, StubKind::AddListener);
        else if (method == "remove_event_listener")
            add(elf, StubKind::RemoveListener);
        else
            take_method(elf, method);
    }

    void take_method(const ElfSymbol &elf, const std::string &method) {
        bool is_static = settings_.is_static(method);
        if (!plan_.json)
            return add(elf, is_static ? StubKind::Static : StubKind::Method, method);
        add(elf, is_static ? StubKind::StaticArguments : StubKind::Arguments, method);
        if (auto found = settings_.methods.find(method); found != settings_.methods.end())
            plan_.symbols.back().types = found->second;
        else if (method != "start" && method != "stop") // everybody's
            plan_.without_signature.push_back(elf.name);
    }

    void add(const ElfSymbol &elf, StubKind kind, const std::string &method = "") {
        plan_.symbols.push_back({elf, kind, method, {}});
    }

    const NimffiSettings &settings_;
    const NimffiSymbols &known_;
    StubPlan &plan_;
};

std::vector<std::string> function_names(const ElfSymbols &elf) {
    std::vector<std::string> names;
    for (const auto &symbol : elf.symbols)
        if (symbol.is_function)
            names.push_back(symbol.name);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

} // namespace

Result<StubPlan> plan_stub(const NimffiSettings &settings, const ElfSymbols &original) {
    auto known = nimffi_symbols(function_names(original), settings.prefix);
    if (!known)
        return known.error();
    StubPlan plan;
    plan.json = settings.json.value_or(known->json);
    plan.soname = original.soname;
    plan.versions = original.versions;
    Planner planner(settings, *known, plan);
    for (const auto &symbol : original.symbols)
        planner.take(symbol);
    return plan;
}

} // namespace berth::cli
