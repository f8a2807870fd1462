#include "base/nimffi_symbols.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace berth {
namespace {

using Functions = std::vector<std::string>;

bool has(const Functions &functions, const std::string &name) {
    return std::binary_search(functions.begin(), functions.end(), name);
}

// The prefixes P with P_create or P_new, and P_destroy.
std::vector<std::string> candidates(const Functions &functions) {
    std::set<std::string> found;
    for (std::string_view name : functions)
        for (std::string_view end : {"_create", "_new"})
            if (name.size() > end.size() && name.ends_with(end)) {
                std::string prefix(name.substr(0, name.size() - end.size()));
                if (has(functions, prefix + "_destroy"))
                    found.insert(prefix);
            }
    return {found.begin(), found.end()};
}

// Of several only those with a runtime of their own, if any has one.
std::vector<std::string> with_runtime(const std::vector<std::string> &all, const Functions &functions) {
    std::vector<std::string> some;
    std::copy_if(all.begin(), all.end(), std::back_inserter(some),
                 [&](const std::string &prefix) { return has(functions, "lib" + prefix + "NimMain"); });
    return some.empty() ? all : some;
}

Result<std::string> choose(const Functions &functions, const std::string &wanted) {
    auto all = candidates(functions);
    if (!wanted.empty()) {
        if (std::find(all.begin(), all.end(), wanted) != all.end())
            return wanted;
        return Error{1, "it has no " + wanted + "_create or " + wanted + "_new beside a " + wanted + "_destroy"};
    }
    if (all.empty())
        return Error{1, "no nim-ffi library: it has no NAME_create or NAME_new beside a NAME_destroy"};
    all = with_runtime(all, functions);
    if (all.size() == 1)
        return all.front();
    std::string names;
    for (const auto &prefix : all)
        names += (names.empty() ? "" : ", ") + prefix;
    return Error{1, "several libraries in one, say which by its prefix: " + names};
}

} // namespace

Result<NimffiSymbols> nimffi_symbols(const Functions &functions, const std::string &wanted) {
    static constexpr std::string_view kEverybodys[] = {"create", "destroy", "add_event_listener",
                                                       "remove_event_listener"};
    auto prefix = choose(functions, wanted);
    if (!prefix)
        return prefix.error();
    NimffiSymbols found;
    found.prefix = *prefix;
    std::string start = *prefix + "_";
    found.json = !has(functions, start + "create");
    found.listeners = has(functions, start + "add_event_listener");
    if (has(functions, start + "set_event_callback"))
        found.event_callback = start + "set_event_callback";
    else if (has(functions, "set_event_callback"))
        found.event_callback = "set_event_callback";
    if (has(functions, "lib" + *prefix + "NimMain"))
        found.initialisers.push_back("lib" + *prefix + "NimMain");
    for (const auto &name : functions) {
        if (!name.starts_with(start) || name == found.event_callback || name == start + (found.json ? "new" : "create"))
            continue;
        std::string method = name.substr(start.size());
        if (!method.empty() && std::find(std::begin(kEverybodys), std::end(kEverybodys), method) == std::end(kEverybodys))
            found.methods.push_back(std::move(method));
    }
    return found;
}

} // namespace berth
