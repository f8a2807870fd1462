#include <doctest/doctest.h>

#include "crashes_view.h"

using namespace berth::cli;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

Json crash() {
    return Json::parse(R"({
        "module": "echo", "version": "1.0", "pid": 7, "uid": 1000, "uses": 3, "context": 12, "host_pid": 5,
        "state": "Leased", "uptime_ms": 900, "time_ms": 1700000000123, "signal": 11, "doing": "request",
        "request": {"method": "die", "id": 42, "size": 10}, "log": ["last words"],
        "fault": {"signal": 11, "code": 1, "address": 16, "thread": 8, "thread_name": "berth-worker"},
        "registers": [{"name": "rip", "value": 255}],
        "backtrace": [{"address": 256, "module": "/lib/libecho.so", "offset": 16, "symbol": "_Z3diev",
                       "symbol_offset": 2}, {"address": 512}, {"address": 768}, {"address": 768}, {"address": 768}],
        "maps": [], "backtrace_cut": true, "maps_cut": false, "complete": true})");
}

} // namespace

TEST_CASE("a crash is told with cause, request, fault, frames, registers and last lines") {
    std::string text = crashes_text(Json::array({crash()}));
    for (const char *part : {"2023-11-14 22:13:20 UTC  echo 1.0: SIGSEGV", "worker 7 of uid 1000, Leased",
                             "it ran die, request 42, 10 bytes", "address 0x10, nothing is mapped there",
                             "#0  0x100  die()+0x2  (libecho.so+0x10)", "#1  0x200\n", "#2  0x300  (3 times)\n",
                             "and more", "rip 0x00000000000000ff", "    last words\n"})
        CHECK_MESSAGE(has(text, part), part << " in\n" << text);
}

TEST_CASE("the newest is last, and none is said") {
    Json second = crash();
    second["module"] = "other";
    std::string text = crashes_text(Json::array({crash(), second}));
    CHECK(text.find("echo") < text.find("other"));
    CHECK(crashes_text(Json::array()) == "no crashes\n");
}

TEST_CASE("what is missing, null or of the wrong kind does no harm") {
    CHECK(has(crashes_text(Json::parse(R"([{"module": "m", "status": 3, "context": null, "killed": "too slow"}])")),
              "m -: exit status 3, killed by the supervisor: too slow"));
    for (const char *key : {"fault", "registers", "backtrace", "log", "request", "time_ms", "signal", "doing"}) {
        for (const char *value : {"null", "7", "-7", "\"x\"", "[]", "[7, null, \"x\"]", "{}", "1.5", "99999999999999"}) {
            Json odd = crash();
            odd[key] = Json::parse(value);
            CHECK(has(crashes_text(Json::array({odd})), "echo 1.0"));
        }
    }
}
