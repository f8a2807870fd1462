// Any bytes as what a dead worker left: the report made of them is bounded, is CBOR, and prints without control
// characters. Input: one byte of what the supervisor knows, then the crash area from its beginning; the rest repeats.
#include <nlohmann/json.hpp>
#include <vector>

#include "fuzz.h"
#include "supervisor/crash_report.h"

namespace {

using Json = nlohmann::json;

void check_text(const std::string &text) {
    for (unsigned char c : text)
        MUST((c >= 0x20 || c == '\t') && c != 0x7f);
}

void check_texts(const Json &json) {
    if (json.is_string())
        check_text(json.get_ref<const std::string &>());
    else if (json.is_structured())
        for (const auto &item : json)
            check_texts(item);
}

// A small input still fills frames, maps and all: that is where the bounds are.
std::string repeated(Input &input) {
    std::string head(input.left(), 0), area;
    head.resize(input.take(head.data(), head.size()));
    area = head.substr(0, sizeof(berth_crash_area));
    while (!head.empty() && area.size() < sizeof(berth_crash_area))
        area += head.substr(0, sizeof(berth_crash_area) - area.size());
    return area;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input input(data, size);
    auto known = static_cast<unsigned>(input.number(1));
    berth::WorkerDeath death;
    death.module = "echo";
    death.method_names = known & 1 ? "echo\ndie" : "";
    death.signal = known & 2 ? 11 : 0;
    death.killed = known & 4 ? "too slow" : "";
    bool whole = known & 8;
    std::string area;
    if (whole) {
        area = repeated(input);
    } else {
        area.resize(input.left());
        area.resize(input.take(area.data(), area.size()));
    }
    auto record = berth::parse_crash_area(area);
    MUST(record.frames.size() <= BERTH_CRASH_MAX_FRAMES);
    MUST(record.fault || (record.frames.empty() && record.maps.empty() && !record.complete));
    MUST(!record.fault || record.fault->registers.size() <= BERTH_CRASH_MAX_REGISTERS);
    auto bytes = berth::crash_report(death, record);
    MUST(bytes.size() <= berth::kMaxCrashReport);
    Json report = Json::from_cbor(bytes);
    MUST(report["module"] == "echo");
    MUST(report.contains("fault") == record.fault.has_value());
    check_texts(report);
    MUST(!report.dump().empty()); // throws at what is no UTF-8
    return 0;
}
