// How a call went, as the CLI tells it: to a program (--json), to a person, to the shell (exit code).
#pragma once

#include <string>
#include <vector>

#include "codec.h"

namespace berth::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitAnswer = 1;      // there was an answer, and it is not OK
inline constexpr int kExitUsage = 2;       // this command line means nothing
inline constexpr int kExitUnavailable = 3; // nobody to answer: no supervisor, no module, not allowed, no room

struct Event {
    std::string name;
    Bytes data;
};

struct Answer {
    int ret = 0;
    std::string ret_name;
    Bytes data;
    std::vector<Event> events;
    uint64_t elapsed_us = 0;
};

int exit_code_of(int ret);

Json event_to_json(const Event &event);
Json answer_to_json(const Answer &answer);
// "tick: …"
std::string event_line(const Event &event);
// "echo.fail: ERR: text"
std::string failure_line(const std::string &what, const Answer &answer);
// "worker 123 died: SIGSEGV", from the CBOR map that comes with WORKER_DIED; any other payload as it is.
std::string worker_death(ByteView payload);

} // namespace berth::cli
