#include <doctest/doctest.h>

#include "answer.h"
#include "berth/berth.h"

using namespace berth::cli;

namespace {

Bytes cbor(const char *json) {
    auto bytes = encode_request(json);
    REQUIRE(bytes);
    return *bytes;
}

Answer answer(int ret, const char *name, const std::string &text) {
    return {ret, name, Bytes(text.begin(), text.end()), {}, 7};
}

} // namespace

TEST_CASE("the exit code tells an answer that is not OK from nobody to answer") {
    CHECK(exit_code_of(BERTH_RET_OK) == kExitOk);
    for (auto ret : {BERTH_RET_ERR, BERTH_RET_TIMEOUT, BERTH_RET_WORKER_DIED, BERTH_RET_TOO_LARGE})
        CHECK(exit_code_of(ret) == kExitAnswer);
    CHECK(exit_code_of(999) == kExitAnswer);
    for (auto ret : {BERTH_RET_UNAVAILABLE, BERTH_RET_NO_MODULE, BERTH_RET_DENIED, BERTH_RET_EXHAUSTED})
        CHECK(exit_code_of(ret) == kExitUnavailable);
}

TEST_CASE("an answer as JSON has ret, name, reply, events and time") {
    Answer ok = {0, "OK", cbor(R"({"n":1})"), {{"tick", cbor("[1]")}}, 42};
    CHECK(dump(answer_to_json(ok)) ==
          R"({"ret":0,"ret_name":"OK","reply":{"n":1},"events":[{"event":"tick","data":[1]}],"elapsed_us":42})");
}

TEST_CASE("a failure is one line with module, method, code and text") {
    CHECK(failure_line("echo.fail", answer(BERTH_RET_ERR, "ERR", "no such thing")) == "echo.fail: ERR: no such thing");
    CHECK(failure_line("echo.block", answer(BERTH_RET_TIMEOUT, "TIMEOUT", "")) == "echo.block: TIMEOUT");
}

TEST_CASE("a dead worker is shown with its signal or its status") {
    CHECK(worker_death(cbor(R"({"signal":11,"pid":123})")) == "worker 123 died: SIGSEGV");
    CHECK(worker_death(cbor(R"({"signal":9})")) == "worker died: SIGKILL");
    CHECK(worker_death(cbor(R"({"status":3,"pid":5,"uses":2})")) == "worker 5 died: exit status 3");
    CHECK(worker_death(cbor(R"({"pid":5,"signal":null})")) == "worker 5 died: cause unknown");
}

TEST_CASE("a dead worker's last log stands below it") {
    CHECK(worker_death(cbor(R"({"signal":6,"pid":1,"last_log":"a\nb"})")) ==
          "worker 1 died: SIGABRT\n  it logged last:\n    a\n    b");
    CHECK(worker_death(cbor(R"({"signal":6,"pid":1,"last_log":""})")) == "worker 1 died: SIGABRT");
}

TEST_CASE("a death without its map is shown as it came") {
    std::string text = "gone";
    CHECK(worker_death(Bytes(text.begin(), text.end())) == "gone");
}

TEST_CASE("an event is its name and its payload") {
    CHECK(event_line({"tick", cbor(R"({"n":1})")}) == R"(tick: {"n":1})");
}
