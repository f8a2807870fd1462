// A module's manifest: the text of one `*.toml` file, checked.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace berth {

enum class RecyclePolicy : uint8_t { Context, Process };
enum class OverflowPolicy : uint8_t { Drop, Sticky };

struct Manifest {
    std::string name;    // [A-Za-z0-9_.-]{1,64}; the file's stem unless it says otherwise
    std::string library; // as in the file, made relative to the file's folder
    std::string description;
    uint32_t spares = 0;       // workers kept ready
    uint32_t max_contexts = 0; // 0: no bound
    uint32_t drain_timeout_ms = 1500;
    uint32_t teardown_timeout_ms = 10000;
    uint32_t start_grace_ms = 10000; // of a context, before it can be not_responding
    // When a worker is replaced rather than handed on (wear.h); 0: no bound.
    uint32_t max_uses = 0; // contexts
    uint32_t max_rss_mib = 0;
    uint32_t max_age_ms = 0;
    uint32_t idle_timeout_ms = 60000; // an idle worker above the spares ends after so long
    bool zygote = false;              // workers are forked from one that has loaded the library
    uint32_t max_recycling = 0;       // teardowns at once; 0: no bound
    RecyclePolicy recycle = RecyclePolicy::Context;
    std::string adapter;          // "": the library speaks module.h itself
    std::string adapter_settings; // what the adapter reads
    uint32_t quarantine_after = 5; // crashes in a row; 0: never
    uint32_t quarantine_window_ms = 60'000;
    uint32_t quarantine_ms = 600'000;
    // The event queue of a context.
    OverflowPolicy overflow = OverflowPolicy::Drop;
    uint32_t max_events = 16384;
    uint32_t max_event_bytes = 16 << 20;
    std::map<std::string, std::string> env;

    std::string file;
    uint32_t name_line = 1; // where the name stands, for the report of a duplicate

    bool operator==(const Manifest &) const = default;
    // Whether a worker started for the one can serve for the other.
    bool serves_like(const Manifest &other) const;
};

// `file` is the manifest's path: it heads error lines, and the library is relative to its folder. The error's text is
// one line, `FILE:LINE: key 'K': what`, of the first mistake in the file.
Result<Manifest> parse_manifest(std::string_view text, const std::string &file);

// `FILE:LINE: key 'K': what`; no key: `FILE:LINE: what`.
std::string manifest_error_line(const std::string &file, uint32_t line, std::string_view key, std::string_view what);

} // namespace berth
