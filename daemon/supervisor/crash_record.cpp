#include "supervisor/crash_record.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "supervisor/log_lines.h"

namespace berth {
namespace {

template <size_t kSize> std::string text(const char (&from)[kSize]) {
    return printable({from, ::strnlen(from, kSize)});
}

CrashRecord::Fault fault_of(const berth_crash_area &area) {
    CrashRecord::Fault fault{area.signal, area.code, area.address, area.thread, text(area.thread_name), {}};
    uint32_t count = std::min(area.register_count, BERTH_CRASH_MAX_REGISTERS);
    for (uint32_t i = 0; i < count; i++)
        fault.registers.emplace_back(text(area.registers[i].name), area.registers[i].value);
    return fault;
}

std::vector<CrashRecord::Frame> frames_of(const berth_crash_area &area) {
    std::vector<CrashRecord::Frame> frames;
    uint32_t count = std::min(area.frame_count, BERTH_CRASH_MAX_FRAMES);
    for (uint32_t i = 0; i < count; i++) {
        const auto &frame = area.frames[i];
        frames.push_back({frame.address, frame.offset, frame.symbol_offset, text(frame.module), text(frame.symbol)});
    }
    return frames;
}

// Without a last line that was cut.
std::vector<std::string> maps_of(const berth_crash_area &area) {
    std::string_view left(area.maps, std::min(area.maps_size, BERTH_CRASH_MAX_MAPS));
    std::vector<std::string> lines;
    for (size_t end; (end = left.find('\n')) != std::string_view::npos; left.remove_prefix(end + 1))
        lines.push_back(printable(left.substr(0, end)));
    return lines;
}

} // namespace

CrashRecord parse_crash_area(std::string_view bytes) {
    auto area = std::make_unique<berth_crash_area>();
    if (!bytes.empty())
        std::memcpy(area.get(), bytes.data(), std::min(bytes.size(), sizeof *area));
    CrashRecord record;
    if (area->running.doing <= BERTH_DOING_DESTROY)
        record.running = {static_cast<berth_crash_doing>(area->running.doing), area->running.method, area->running.id,
                          area->running.size};
    if (area->stage == BERTH_CRASH_NOTHING || area->stage > BERTH_CRASH_SYMBOLS)
        return record;
    record.fault = fault_of(*area);
    record.frames = frames_of(*area);
    record.maps = maps_of(*area);
    record.frames_cut = area->cut & BERTH_CRASH_FRAMES_CUT;
    record.maps_cut = area->cut & BERTH_CRASH_MAPS_CUT;
    record.complete = area->stage == BERTH_CRASH_SYMBOLS;
    return record;
}

} // namespace berth
