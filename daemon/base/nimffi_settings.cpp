#include "base/nimffi_settings.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace berth {
namespace {

constexpr int64_t kMaxMs = 24 * 3'600'000;
constexpr size_t kMaxName = 255;

constexpr std::pair<std::string_view, NimffiType> kTypes[] = {
    {"string", NimffiType::String}, {"bool", NimffiType::Bool},     {"int", NimffiType::Int32},
    {"uint", NimffiType::Uint32},   {"int8", NimffiType::Int8},     {"uint8", NimffiType::Uint8},
    {"int16", NimffiType::Int16},   {"uint16", NimffiType::Uint16}, {"int32", NimffiType::Int32},
    {"uint32", NimffiType::Uint32}, {"int64", NimffiType::Int64},   {"uint64", NimffiType::Uint64},
    {"float", NimffiType::Float},   {"double", NimffiType::Double},
};

uint32_t line_of(const toml::node &node) { return std::max<uint32_t>(1, node.source().begin.line); }

class Reader {
  public:
    explicit Reader(const NimffiMistake &mistake) : mistake_(mistake) {}

    NimffiSettings read(const toml::table &table) {
        for (auto &&[name, node] : table)
            key(std::string(name.str()), node);
        if (settings_.json == false && !settings_.methods.empty())
            wrong(*table.get("methods"), "methods", "is for the generation \"json\" only");
        return std::move(settings_);
    }

  private:
    void wrong(const toml::node &node, const std::string &key, const std::string &what) {
        mistake_(line_of(node), "nim-ffi." + key, what);
    }

    void key(const std::string &key, const toml::node &node) {
        if (key == "prefix")
            name(key, node, settings_.prefix);
        else if (key == "generation")
            generation(node);
        else if (key == "destroy_arguments")
            number(key, node, 1, 3, settings_.destroy_arguments);
        else if (key == "deadline_ms")
            number(key, node, 0, kMaxMs, settings_.deadline_ms);
        else if (key == "static")
            names(key, node, settings_.statics);
        else if (key == "events")
            names(key, node, settings_.events);
        else if (key == "initialisers")
            names(key, node, settings_.initialisers);
        else if (key == "methods")
            methods(node);
        else
            wrong(node, key, "unknown");
    }

    bool name(const std::string &key, const toml::node &node, std::string &out) {
        auto *text = node.as_string();
        if (!text || text->get().empty() || text->get().size() > kMaxName || text->get().find('\0') != std::string::npos) {
            wrong(node, key, "must be a string of 1 to 255 bytes");
            return false;
        }
        out = text->get();
        return true;
    }

    void generation(const toml::node &node) {
        std::string value;
        if (name("generation", node, value) && value != "cbor" && value != "json")
            wrong(node, "generation", "must be \"cbor\" or \"json\"");
        settings_.json = value == "json";
    }

    void number(const std::string &key, const toml::node &node, int64_t least, int64_t most, uint32_t &out) {
        auto *value = node.as_integer();
        if (!value || value->get() < least || value->get() > most || (key == "destroy_arguments" && value->get() == 2))
            wrong(node, key,
                  key == "destroy_arguments" ? "must be 1 or 3"
                                             : "must be an integer from 0 to " + std::to_string(most));
        else
            out = static_cast<uint32_t>(value->get());
    }

    void names(const std::string &key, const toml::node &node, std::vector<std::string> &out) {
        auto *list = node.as_array();
        if (!list)
            return wrong(node, key, "must be an array of strings");
        for (const auto &element : *list) {
            std::string text;
            if (name(key, element, text))
                out.push_back(std::move(text));
        }
    }

    void methods(const toml::node &node) {
        auto *table = node.as_table();
        if (!table)
            return wrong(node, "methods", "must be a table of arrays of types");
        for (auto &&[method, types] : *table)
            signature("methods." + std::string(method.str()), types, settings_.methods[std::string(method.str())]);
    }

    void signature(const std::string &key, const toml::node &node, std::vector<NimffiType> &out) {
        auto *list = node.as_array();
        if (!list)
            return wrong(node, key, "must be an array of types");
        for (const auto &element : *list) {
            auto *text = element.as_string();
            auto type = text ? nimffi_type(text->get()) : std::nullopt;
            if (!type)
                return wrong(element, key, "each must be one of " + nimffi_type_names());
            out.push_back(*type);
        }
    }

    const NimffiMistake &mistake_;
    NimffiSettings settings_;
};

} // namespace

std::optional<NimffiType> nimffi_type(std::string_view name) {
    for (const auto &[known, type] : kTypes)
        if (known == name)
            return type;
    return std::nullopt;
}

std::string nimffi_type_names() {
    std::string names;
    for (const auto &row : kTypes)
        names += (names.empty() ? "" : ", ") + std::string(row.first);
    return names;
}

bool NimffiSettings::is_static(const std::string &method) const {
    return std::find(statics.begin(), statics.end(), method) != statics.end();
}

NimffiSettings read_nimffi_settings(const toml::table &table, const NimffiMistake &mistake) {
    return Reader(mistake).read(table);
}

std::string nimffi_document(const toml::table &table, bool reused) {
    std::ostringstream out;
    out << toml::table{{"reused", reused}, {"nim-ffi", table}};
    return out.str();
}

Result<NimffiDocument> read_nimffi_document(std::string_view text) {
    NimffiDocument document;
    std::string why;
    try {
        auto whole = toml::parse(text);
        document.reused = whole["reused"].value_or(false);
        if (auto *table = whole["nim-ffi"].as_table())
            document.settings = read_nimffi_settings(
                *table, [&](uint32_t, const std::string &key, const std::string &what) { why = key + ": " + what; });
    } catch (const toml::parse_error &error) {
        why = error.description();
    }
    if (!why.empty())
        return Error{1, "the adapter's settings: " + why};
    return document;
}

} // namespace berth
