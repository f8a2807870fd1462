#include "answer.h"

#include <cstring>

#include "berth/berth.h"

namespace berth::cli {
namespace {

std::string signal_name(int number) {
    const char *name = sigabbrev_np(number);
    return name ? std::string("SIG") + name : "signal " + std::to_string(number);
}

std::string cause_of_death(const Json &map) {
    if (auto it = map.find("signal"); it != map.end() && it->is_number_integer())
        return signal_name(it->get<int>());
    if (auto it = map.find("status"); it != map.end() && it->is_number_integer())
        return "exit status " + std::to_string(it->get<int>());
    return "cause unknown";
}

std::string indented(const std::string &text) {
    std::string out;
    for (char c : text)
        out += c == '\n' ? std::string("\n    ") : std::string(1, c);
    return out;
}

std::string text_of(const Answer &answer) {
    if (answer.ret == BERTH_RET_WORKER_DIED)
        return worker_death(answer.data);
    return show_for_people(answer.data);
}

} // namespace

int exit_code_of(int ret) {
    switch (ret) {
    case BERTH_RET_OK:
        return kExitOk;
    case BERTH_RET_UNAVAILABLE:
    case BERTH_RET_DENIED:
    case BERTH_RET_PROTOCOL:
    case BERTH_RET_NO_MODULE:
    case BERTH_RET_EXHAUSTED:
        return kExitUnavailable;
    default:
        return kExitAnswer;
    }
}

Json event_to_json(const Event &event) { return {{"event", event.name}, {"data", show(event.data).json}}; }

Json answer_to_json(const Answer &answer) {
    Json events = Json::array();
    for (const auto &event : answer.events)
        events.push_back(event_to_json(event));
    return {{"ret", answer.ret},
            {"ret_name", answer.ret_name},
            {"reply", show(answer.data).json},
            {"events", std::move(events)},
            {"elapsed_us", answer.elapsed_us}};
}

std::string event_line(const Event &event) { return event.name + ": " + dump(show(event.data).json); }

std::string failure_line(const std::string &what, const Answer &answer) {
    std::string text = text_of(answer);
    return what + ": " + answer.ret_name + (text.empty() ? "" : ": " + text);
}

std::string worker_death(ByteView payload) {
    Shown shown = show(payload);
    if (!shown.json.is_object())
        return show_for_people(payload);
    auto pid = shown.json.find("pid");
    std::string line = "worker ";
    if (pid != shown.json.end() && pid->is_number())
        line += dump(*pid) + " ";
    line += "died: " + cause_of_death(shown.json);
    auto log = shown.json.find("last_log");
    if (log != shown.json.end() && log->is_string() && !log->get_ref<const std::string &>().empty())
        line += "\n  it logged last:\n    " + indented(log->get<std::string>());
    return line;
}

} // namespace berth::cli
