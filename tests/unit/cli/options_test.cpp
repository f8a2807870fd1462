#include <doctest/doctest.h>

#include "answer.h"
#include "options.h"

using namespace berth::cli;

namespace {

Command parse(std::vector<const char *> words) {
    words.insert(words.begin(), "berth");
    return parse_command_line(static_cast<int>(words.size()), words.data(), "1.2.3");
}

CallOptions call(std::vector<const char *> words) {
    words.insert(words.begin(), "call");
    Command command = parse(std::move(words));
    REQUIRE(std::holds_alternative<CallOptions>(command));
    return std::get<CallOptions>(command);
}

int refused(std::vector<const char *> words) {
    Command command = parse(std::move(words));
    REQUIRE(std::holds_alternative<Finished>(command));
    CHECK(!std::get<Finished>(command).err.empty());
    return std::get<Finished>(command).status;
}

} // namespace

TEST_CASE("a call is module, method and JSON") {
    CallOptions options = call({"echo", "later", R"({"ms":5})"});
    CHECK(options.module == "echo");
    CHECK(options.method == "later");
    CHECK(options.request == R"({"ms":5})");
    CHECK(options.timeout_ms == -1);
}

TEST_CASE("JSON reaches the call as it was written") {
    for (const char *json : {"{}", "[]", "[1,2]", "\"text\"", "[\"a b\", {}]", "null", "%%"})
        CHECK(call({"m", "f", json}).request == json);
}

TEST_CASE("a configuration is taken as it was written") {
    for (const char *json : {"{}", "[1,2]", R"({"path":":memory:"})"})
        CHECK(call({"m", "f", "--config", json}).config == json);
}

TEST_CASE("events and raw files are collected in order") {
    CallOptions options = call({"m", "f", "--event", "a", "--event", "b", "--raw", "x", "--raw", "-"});
    CHECK(options.events == std::vector<std::string>{"a", "b"});
    CHECK(options.raw == std::vector<std::string>{"x", "-"});
}

TEST_CASE("an event's option does not swallow the request") {
    CallOptions options = call({"--event", "tick", "echo", "emit", R"({"count":1})"});
    CHECK(options.module == "echo");
    CHECK(options.request == R"({"count":1})");
}

TEST_CASE("how to connect is said to every subcommand") {
    CHECK(call({"m", "f", "--private", "--modules", "/d"}).connect.force_private);
    CHECK(std::get<StatusOptions>(parse({"status", "--socket", "/s"})).connect.socket == "/s");
    CHECK(std::get<BenchOptions>(parse({"bench", "--modules", "/d"})).connect.module_dir == "/d");
}

TEST_CASE("whose socket is trusted is a user's name or number") {
    CHECK(call({"m", "f", "--socket", "/s"}).connect.socket_owner == 0);
    CHECK(call({"m", "f", "--socket", "/s", "--socket-owner", "4711"}).connect.socket_owner == 4711);
    CHECK(std::get<StatusOptions>(parse({"status", "--socket-owner", "root"})).connect.socket_owner == 0);
    for (const char *user : {"", "no such user", "-1", "4294967295", "4294967296", "47x"})
        CHECK(refused({"status", "--socket-owner", user}) == kExitUsage);
    CHECK(refused({"status", "--private", "--socket-owner", "root"}) == kExitUsage);
}

TEST_CASE("crashes takes its flag, and reset a module") {
    CHECK(std::get<CrashesOptions>(parse({"crashes", "--json", "--socket", "/s"})).json);
    CHECK(std::get<CrashesOptions>(parse({"crashes", "--socket", "/s"})).connect.socket == "/s");
    CHECK(std::get<ResetOptions>(parse({"reset", "echo"})).module == "echo");
    CHECK(refused({"reset"}) == kExitUsage);
    CHECK(refused({"crashes", "echo"}) == kExitUsage);
}

TEST_CASE("modules is status with less") {
    CHECK(std::get<StatusOptions>(parse({"modules", "--json"})).modules_only);
    CHECK(!std::get<StatusOptions>(parse({"status"})).modules_only);
}

TEST_CASE("bench takes its flags") {
    auto options = std::get<BenchOptions>(parse({"bench", "--json", "--quick", "--plot", "x.svg"}));
    CHECK(options.json);
    CHECK(options.quick);
    CHECK(options.plot == "x.svg");
}

TEST_CASE("a command line that means nothing ends with the usage code") {
    CHECK(refused({}) == kExitUsage);
    CHECK(refused({"dance"}) == kExitUsage);
    CHECK(refused({"call", "echo"}) == kExitUsage);
    CHECK(refused({"call", "m", "f", "--timeout", "soon"}) == kExitUsage);
    CHECK(refused({"call", "m", "f", "{}", "--raw", "x"}) == kExitUsage);
    CHECK(refused({"call", "m", "f", "{}", "more"}) == kExitUsage);
    CHECK(refused({"status", "--private", "--socket", "/s"}) == kExitUsage);
}

TEST_CASE("help and version are no errors") {
    for (auto word : {"--help", "--version"}) {
        auto finished = std::get<Finished>(parse({word}));
        CHECK(finished.status == 0);
        CHECK(!finished.out.empty());
    }
    CHECK(std::get<Finished>(parse({"--version"})).out.find("1.2.3") != std::string::npos);
}

TEST_CASE("module init takes a library, and a file for the manifest") {
    auto init = std::get<ModuleInitOptions>(parse({"module", "init", "lib.so", "-o", "a.toml"}));
    CHECK(init.library == "lib.so");
    CHECK(init.output == "a.toml");
    CHECK(std::get<ModuleInitOptions>(parse({"module", "init", "lib.so"})).output.empty());
    CHECK(refused({"module"}) == kExitUsage);
    CHECK(refused({"module", "init"}) == kExitUsage);
    CHECK(refused({"module", "exit", "lib.so"}) == kExitUsage);
}
