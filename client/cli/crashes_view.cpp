#include "crashes_view.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <cxxabi.h>
#include <memory>

namespace berth::cli {
namespace {

// "-" when it is not there, or null.
std::string word(const Json &map, const char *key) {
    if (!map.is_object() || !map.contains(key) || map[key].is_null())
        return "-";
    return map[key].is_string() ? map[key].get<std::string>() : dump(map[key]);
}

uint64_t number(const Json &map, const char *key) {
    return map.is_object() && map.contains(key) && map[key].is_number_unsigned() ? map[key].get<uint64_t>() : 0;
}

std::string hex(uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

std::string when(uint64_t ms) {
    auto seconds = static_cast<time_t>(ms / 1000);
    tm utc{};
    char text[40] = "-";
    if (gmtime_r(&seconds, &utc))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc);
    return text;
}

std::string signal_name(uint64_t signal) {
    const char *name = signal < NSIG ? sigabbrev_np(static_cast<int>(signal)) : nullptr;
    return name ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

std::string cause(const Json &crash) {
    std::string text = crash.contains("signal") ? signal_name(number(crash, "signal"))
                                                : "exit status " + word(crash, "status");
    return crash.contains("killed") ? text + ", killed by the supervisor: " + word(crash, "killed") : text;
}

std::string code_name(const Json &fault) {
    if (!fault.contains("code") || !fault["code"].is_number_integer())
        return "";
    auto code = fault["code"].get<int64_t>();
    bool memory = number(fault, "signal") == SIGSEGV;
    if (memory && code == SEGV_MAPERR)
        return ", nothing is mapped there";
    if (memory && code == SEGV_ACCERR)
        return ", not allowed there";
    return code == SI_USER || code == SI_TKILL || code == SI_QUEUE ? ", sent by a process" : "";
}

std::string demangled(const std::string &symbol) {
    int status = 0;
    std::unique_ptr<char, void (*)(void *)> text(abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), free);
    return status == 0 && text ? text.get() : symbol;
}

std::string base_name(const std::string &path) {
    auto slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string frame_line(size_t index, const Json &frame) {
    std::string line = "    #" + std::to_string(index) + (index < 10 ? "  " : " ") + hex(number(frame, "address"));
    if (frame.is_object() && frame.contains("symbol"))
        line += "  " + demangled(word(frame, "symbol")) + "+" + hex(number(frame, "symbol_offset"));
    if (frame.is_object() && frame.contains("module"))
        line += "  (" + base_name(word(frame, "module")) + "+" + hex(number(frame, "offset")) + ")";
    return line;
}

// A recursion that has filled the stack is one line.
std::string frames_text(const Json &frames) {
    std::string text;
    for (size_t i = 0, same; i < frames.size(); i += same) {
        for (same = 1; i + same < frames.size() && frames[i + same] == frames[i];)
            same++;
        text += frame_line(i, frames[i]) + (same > 1 ? "  (" + std::to_string(same) + " times)\n" : "\n");
    }
    return text;
}

std::string fault_text(const Json &crash) {
    if (!crash.contains("fault"))
        return "  its signal handler did not run: no registers, no backtrace\n";
    const Json &fault = crash["fault"];
    std::string text = "  " + signal_name(number(fault, "signal")) + " on thread " + word(fault, "thread") + " (" +
                       word(fault, "thread_name") + "), address " + hex(number(fault, "address")) + code_name(fault) +
                       "\n  backtrace\n";
    if (crash.contains("backtrace") && crash["backtrace"].is_array())
        text += frames_text(crash["backtrace"]);
    return text + (word(crash, "backtrace_cut") == "true" ? "    and more\n" : "");
}

std::string registers_text(const Json &crash) {
    if (!crash.contains("registers") || !crash["registers"].is_array())
        return "";
    std::string text = "  registers", line;
    size_t in_line = 0;
    for (const auto &each : crash["registers"]) {
        char cell[48];
        snprintf(cell, sizeof cell, "%6.8s 0x%016llx", word(each, "name").c_str(),
                 static_cast<unsigned long long>(number(each, "value")));
        text += in_line++ % 3 == 0 ? std::string("\n    ") + cell : std::string("  ") + cell;
    }
    return text + "\n";
}

std::string log_text(const Json &crash) {
    if (!crash.contains("log") || !crash["log"].is_array() || crash["log"].empty())
        return "";
    std::string text = "  it logged last\n";
    for (const auto &line : crash["log"])
        text += "    " + (line.is_string() ? line.get<std::string>() : dump(line)) + "\n";
    return text;
}

std::string running_text(const Json &crash) {
    if (word(crash, "doing") == "request" && crash.contains("request"))
        return "  it ran " + word(crash["request"], "method") + ", request " + word(crash["request"], "id") + ", " +
               word(crash["request"], "size") + " bytes\n";
    return word(crash, "doing") == "-" ? "" : "  it was in " + word(crash, "doing") + "\n";
}

std::string crash_text(const Json &crash) {
    if (!crash.is_object())
        return "";
    return when(number(crash, "time_ms")) + "  " + word(crash, "module") + " " + word(crash, "version") + ": " +
           cause(crash) + "\n  worker " + word(crash, "pid") + " of uid " + word(crash, "uid") + ", " +
           word(crash, "state") + ", " + word(crash, "uptime_ms") + " ms old; contexts served " + word(crash, "uses") +
           ", context " + word(crash, "context") + ", host " + word(crash, "host_pid") + "\n" + running_text(crash) +
           fault_text(crash) + registers_text(crash) + log_text(crash);
}

} // namespace

std::string crashes_text(const Json &crashes) {
    std::string text;
    for (const auto &crash : crashes)
        text += (text.empty() ? "" : "\n") + crash_text(crash);
    return text.empty() ? "no crashes\n" : text;
}

} // namespace berth::cli
