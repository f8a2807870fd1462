#include "supervisor/manifest.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <toml++/toml.h>

#include "base/nimffi_settings.h"

namespace berth {
namespace {

constexpr int64_t kMaxMs = 3'600'000;
constexpr int64_t kMaxAgeMs = 30LL * 24 * 3'600'000;
constexpr int64_t kMaxMib = 1 << 20;
constexpr int64_t kMaxEvents = 1 << 20;
constexpr int64_t kMaxEventBytes = 64 << 20; // a ring holds no more
constexpr int64_t kMaxCount = 1'000'000;
constexpr int64_t kMaxSpares = 1000;
constexpr int64_t kMaxQuarantineAfter = 1000;

const char *type_name(toml::node_type type) {
    switch (type) {
    case toml::node_type::string:
        return "a string";
    case toml::node_type::integer:
        return "an integer";
    case toml::node_type::floating_point:
        return "a float";
    case toml::node_type::boolean:
        return "a boolean";
    case toml::node_type::array:
        return "an array";
    case toml::node_type::table:
        return "a table";
    default:
        return "a date or time";
    }
}

bool name_valid(std::string_view name) {
    auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
               c == '-';
    };
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), allowed);
}

uint32_t line_of(const toml::node &node) { return std::max<uint32_t>(1, node.source().begin.line); }

// Walks the table's keys, fills the manifest and keeps the mistake that stands first in the file.
class Reader {
  public:
    explicit Reader(const std::string &file) : file_(file) { manifest_.file = file; }

    Result<Manifest> read(const toml::table &table);

  private:
    void key(std::string_view key, const toml::node &node);
    void text(std::string_view key, const toml::node &node, std::string &out);
    void count(std::string_view key, const toml::node &node, int64_t most, uint32_t &out);
    void flag(std::string_view key, const toml::node &node, bool &out);
    void name(const toml::node &node);
    void library(const toml::node &node);
    std::string one_of(std::string_view key, const toml::node &node, std::string_view usual, std::string_view other);
    void env(const toml::node &node);
    void adapter(const toml::table &table);
    void nimffi(const toml::table &table);
    void default_name();
    void mistake(uint32_t line, std::string_view key, std::string_view what);

    const std::string &file_;
    Manifest manifest_;
    uint32_t mistake_line_ = 0;
    std::string mistake_;
};

void Reader::mistake(uint32_t line, std::string_view key, std::string_view what) {
    if (mistake_line_ && mistake_line_ <= line)
        return;
    mistake_line_ = line;
    mistake_ = manifest_error_line(file_, line, key, what);
}

void Reader::text(std::string_view key, const toml::node &node, std::string &out) {
    if (auto *value = node.as_string())
        out = value->get();
    else
        mistake(line_of(node), key, fmt::format("must be a string, not {}", type_name(node.type())));
}

void Reader::count(std::string_view key, const toml::node &node, int64_t most, uint32_t &out) {
    auto *value = node.as_integer();
    if (!value)
        mistake(line_of(node), key, fmt::format("must be an integer, not {}", type_name(node.type())));
    else if (value->get() < 0 || value->get() > most)
        mistake(line_of(node), key, fmt::format("must be from 0 to {}, not {}", most, value->get()));
    else
        out = static_cast<uint32_t>(value->get());
}

void Reader::flag(std::string_view key, const toml::node &node, bool &out) {
    if (auto *value = node.as_boolean())
        out = value->get();
    else
        mistake(line_of(node), key, fmt::format("must be true or false, not {}", type_name(node.type())));
}

void Reader::name(const toml::node &node) {
    text("name", node, manifest_.name);
    manifest_.name_line = line_of(node);
    if (node.is_string() && !name_valid(manifest_.name))
        mistake(line_of(node), "name", "must be 1 to 64 of A-Z a-z 0-9 _ . -");
}

void Reader::library(const toml::node &node) {
    text("library", node, manifest_.library);
    if (node.is_string() && manifest_.library.empty())
        mistake(line_of(node), "library", "must not be empty");
    auto folder = std::filesystem::path(file_).parent_path();
    manifest_.library = (folder / manifest_.library).lexically_normal().string();
}

std::string Reader::one_of(std::string_view key, const toml::node &node, std::string_view usual,
                           std::string_view other) {
    std::string policy(usual);
    text(key, node, policy);
    if (policy != usual && policy != other)
        mistake(line_of(node), key, fmt::format("must be \"{}\" or \"{}\"", usual, other));
    return policy;
}

void Reader::env(const toml::node &node) {
    auto *table = node.as_table();
    if (!table)
        return mistake(line_of(node), "env", fmt::format("must be a table, not {}", type_name(node.type())));
    for (auto &&[variable, value] : *table) {
        std::string where = fmt::format("env.{}", variable.str());
        std::string content;
        text(where, value, content);
        if (variable.str().empty() ||
            variable.str().find_first_of(std::string_view("=\0", 2)) != std::string_view::npos)
            mistake(line_of(value), where, "cannot name an environment variable");
        if (content.find('\0') != std::string::npos)
            mistake(line_of(value), where, "must not hold a zero byte");
        manifest_.env.emplace(variable.str(), std::move(content));
    }
}

void Reader::key(std::string_view key, const toml::node &node) {
    if (key == "name")
        name(node);
    else if (key == "library")
        library(node);
    else if (key == "description")
        text(key, node, manifest_.description);
    else if (key == "spares")
        count(key, node, kMaxSpares, manifest_.spares);
    else if (key == "max_contexts")
        count(key, node, kMaxCount, manifest_.max_contexts);
    else if (key == "drain_timeout_ms")
        count(key, node, kMaxMs, manifest_.drain_timeout_ms);
    else if (key == "teardown_timeout_ms")
        count(key, node, kMaxMs, manifest_.teardown_timeout_ms);
    else if (key == "start_grace_ms")
        count(key, node, kMaxMs, manifest_.start_grace_ms);
    else if (key == "max_uses")
        count(key, node, kMaxCount, manifest_.max_uses);
    else if (key == "max_rss_mib")
        count(key, node, kMaxMib, manifest_.max_rss_mib);
    else if (key == "max_age_ms")
        count(key, node, kMaxAgeMs, manifest_.max_age_ms);
    else if (key == "idle_timeout_ms")
        count(key, node, kMaxAgeMs, manifest_.idle_timeout_ms);
    else if (key == "max_recycling")
        count(key, node, kMaxCount, manifest_.max_recycling);
    else if (key == "quarantine_after")
        count(key, node, kMaxQuarantineAfter, manifest_.quarantine_after);
    else if (key == "quarantine_window_ms")
        count(key, node, kMaxMs, manifest_.quarantine_window_ms);
    else if (key == "quarantine_ms")
        count(key, node, kMaxMs, manifest_.quarantine_ms);
    else if (key == "zygote")
        flag(key, node, manifest_.zygote);
    else if (key == "recycle")
        manifest_.recycle =
            one_of(key, node, "context", "process") == "process" ? RecyclePolicy::Process : RecyclePolicy::Context;
    else if (key == "overflow")
        manifest_.overflow =
            one_of(key, node, "drop", "sticky") == "sticky" ? OverflowPolicy::Sticky : OverflowPolicy::Drop;
    else if (key == "max_events")
        count(key, node, kMaxEvents, manifest_.max_events);
    else if (key == "max_event_bytes")
        count(key, node, kMaxEventBytes, manifest_.max_event_bytes);
    else if (key == "env")
        env(node);
    else if (key == "adapter")
        text(key, node, manifest_.adapter);
    else if (key == "nim-ffi") // the adapter's own
        return;
    else
        mistake(line_of(node), key, "unknown");
}

void Reader::adapter(const toml::table &table) {
    auto *named = table.get("adapter");
    if (named && named->is_string() && manifest_.adapter != "nim-ffi")
        mistake(line_of(*named), "adapter", "must be \"nim-ffi\"");
    if (auto *settings = table.get("nim-ffi"); settings && !named)
        mistake(line_of(*settings), "nim-ffi", "goes with adapter = \"nim-ffi\" only");
    if (named && manifest_.zygote) // whose settings are read once, and whose libraries have threads from the start
        mistake(line_of(*table.get("zygote")), "zygote", "does not go with an adapter");
    if (manifest_.adapter == "nim-ffi")
        nimffi(table);
}

// Libraries of this kind keep globals, so a process has one context unless the manifest says otherwise.
void Reader::nimffi(const toml::table &table) {
    if (!table.contains("recycle"))
        manifest_.recycle = RecyclePolicy::Process;
    auto *node = table.get("nim-ffi");
    static const toml::table nothing;
    auto *settings = node ? node->as_table() : &nothing;
    if (!settings)
        return mistake(line_of(*node), "nim-ffi", fmt::format("must be a table, not {}", type_name(node->type())));
    read_nimffi_settings(*settings, [this](uint32_t line, const std::string &key, const std::string &what) {
        mistake(line, key, what);
    });
    manifest_.adapter_settings = nimffi_document(*settings, manifest_.recycle == RecyclePolicy::Context);
}

void Reader::default_name() {
    manifest_.name = std::filesystem::path(file_).stem().string();
    if (!name_valid(manifest_.name))
        mistake(1, "name", "missing, and the file's name cannot serve as one");
}

Result<Manifest> Reader::read(const toml::table &table) {
    for (auto &&[name, node] : table)
        key(name.str(), node);
    adapter(table);
    if (!table.contains("name"))
        default_name();
    if (!table.contains("library"))
        mistake(1, "library", "missing");
    if (mistake_line_)
        return Error{1, mistake_};
    return std::move(manifest_);
}

} // namespace

bool Manifest::serves_like(const Manifest &other) const {
    return library == other.library && drain_timeout_ms == other.drain_timeout_ms &&
           teardown_timeout_ms == other.teardown_timeout_ms && start_grace_ms == other.start_grace_ms &&
           max_uses == other.max_uses && max_rss_mib == other.max_rss_mib && max_age_ms == other.max_age_ms &&
           max_recycling == other.max_recycling && recycle == other.recycle && overflow == other.overflow &&
           max_events == other.max_events && max_event_bytes == other.max_event_bytes &&
           adapter == other.adapter && adapter_settings == other.adapter_settings && env == other.env;
}

std::string manifest_error_line(const std::string &file, uint32_t line, std::string_view key, std::string_view what) {
    if (key.empty())
        return fmt::format("{}:{}: {}", file, line, what);
    return fmt::format("{}:{}: key '{}': {}", file, line, key, what);
}

Result<Manifest> parse_manifest(std::string_view text, const std::string &file) {
    try {
        return Reader(file).read(toml::parse(text, file));
    } catch (const toml::parse_error &e) {
        return Error{1, manifest_error_line(file, std::max<uint32_t>(1, e.source().begin.line), "", e.description())};
    }
}

} // namespace berth
