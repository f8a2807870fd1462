// What a dead worker's handler wrote, checked. Pure: bytes in, values out; whatever the bytes are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crash_area.h"

namespace berth {

struct CrashRecord {
    struct Running {
        berth_crash_doing doing = BERTH_DOING_NOTHING;
        uint32_t method = 0; // an index that may be none
        uint64_t id = 0, size = 0;
    };
    struct Fault {
        uint32_t signal = 0;
        int32_t code = 0;
        uint64_t address = 0;
        uint32_t thread = 0;
        std::string thread_name;
        std::vector<std::pair<std::string, uint64_t>> registers;
    };
    struct Frame {
        uint64_t address = 0, offset = 0, symbol_offset = 0;
        std::string module, symbol; // empty: unknown
    };

    Running running;
    std::optional<Fault> fault; // none: the handler did not run
    std::vector<Frame> frames;
    std::vector<std::string> maps; // lines
    bool frames_cut = false, maps_cut = false;
    bool complete = false; // the handler came to its end
};

// `bytes` is a copy of a berth_crash_area, or the beginning of one; what is missing counts as zero. All texts that come
// out are printable, and in all no longer than four times what went in.
CrashRecord parse_crash_area(std::string_view bytes);

} // namespace berth
