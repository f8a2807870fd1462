#include "supervisor/crash_report.h"

#include <nlohmann/json.hpp>

#include "supervisor/log_lines.h"

namespace berth {
namespace {

using Json = nlohmann::json;

Json lines(const std::string &text) {
    Json out = Json::array();
    for (size_t at = 0; at < text.size();) {
        size_t end = std::min(text.find('\n', at), text.size());
        out.push_back(printable(std::string_view(text).substr(at, end - at)));
        at = end + 1;
    }
    return out;
}

Json or_null(uint64_t number) { return number ? Json(number) : Json(); }

std::string method_name(const std::string &names, uint32_t index) {
    Json all = lines(names);
    return index < all.size() ? all[index].get<std::string>() : "";
}

void put_running(Json &report, const WorkerDeath &death, const CrashRecord::Running &running) {
    static constexpr const char *kDoing[] = {"", "create", "request", "destroy"};
    report["doing"] = running.doing == BERTH_DOING_NOTHING ? Json() : Json(kDoing[running.doing]);
    report["request"] = Json();
    if (running.doing == BERTH_DOING_REQUEST)
        report["request"] = {{"method", method_name(death.method_names, running.method)},
                             {"id", running.id},
                             {"size", running.size}};
}

void put_fault(Json &report, const CrashRecord::Fault &fault) {
    report["fault"] = {{"signal", fault.signal},
                       {"code", fault.code},
                       {"address", fault.address},
                       {"thread", fault.thread},
                       {"thread_name", fault.thread_name}};
    auto &registers = report["registers"] = Json::array();
    for (const auto &[name, value] : fault.registers)
        registers.push_back({{"name", name}, {"value", value}});
}

Json describe(const CrashRecord::Frame &frame) {
    Json out = {{"address", frame.address}};
    if (!frame.module.empty()) {
        out["module"] = frame.module;
        out["offset"] = frame.offset;
    }
    if (!frame.symbol.empty()) {
        out["symbol"] = frame.symbol;
        out["symbol_offset"] = frame.symbol_offset;
    }
    return out;
}

void put_record(Json &report, const CrashRecord &record) {
    put_fault(report, *record.fault);
    auto &frames = report["backtrace"] = Json::array();
    for (const auto &frame : record.frames)
        frames.push_back(describe(frame));
    report["maps"] = record.maps;
    report["backtrace_cut"] = record.frames_cut;
    report["maps_cut"] = record.maps_cut;
    report["complete"] = record.complete;
}

Json describe(const WorkerDeath &death) {
    Json out = {{"module", printable(death.module)},
                {"version", printable(death.version)},
                {"pid", death.pid},
                {"uid", death.uid},
                {"uses", death.uses},
                {"context", or_null(death.context)},
                {"host_pid", or_null(static_cast<uint64_t>(death.host_pid))},
                {"state", death.state},
                {"uptime_ms", death.uptime_ms},
                {"time_ms", death.time_ms},
                {"log", lines(death.log)}};
    if (death.signal)
        out["signal"] = death.signal;
    else
        out["status"] = death.status;
    if (!death.killed.empty())
        out["killed"] = printable(death.killed);
    return out;
}

bool halve(Json &report, const char *list, const char *cut) {
    auto &items = report[list];
    if (items.empty())
        return false;
    items.erase(items.begin() + static_cast<Json::difference_type>(items.size() / 2), items.end());
    report[cut] = true;
    return true;
}

} // namespace

std::vector<uint8_t> crash_report(const WorkerDeath &death, const CrashRecord &record) {
    Json report = describe(death);
    put_running(report, death, record.running);
    if (record.fault)
        put_record(report, record);
    auto bytes = Json::to_cbor(report);
    while (bytes.size() > kMaxCrashReport && record.fault) {
        if (!halve(report, "maps", "maps_cut") && !halve(report, "backtrace", "backtrace_cut"))
            break;
        bytes = Json::to_cbor(report);
    }
    return bytes;
}

} // namespace berth
