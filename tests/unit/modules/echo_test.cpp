#include "module_fixture.h"

#include <csignal>
#include <iostream>
#include <sys/wait.h>
#include <unistd.h>

using namespace berth::test;
using namespace std::chrono_literals;

namespace {

struct Echo : ModuleFixture {
    Echo() : ModuleFixture("BERTH_ECHO_SO") { create(); }
    berth_request later(uint64_t ms, const Json &data) {
        return module().submit("later", cbor({{"ms", ms}, {"data", data}}));
    }
};

} // namespace

TEST_CASE_FIXTURE(Echo, "echo gives the same bytes back, none and 16 MiB among them") {
    for (size_t len : {size_t(0), size_t(1), size_t(16) << 20}) {
        std::string bytes(len, '\xa5');
        CHECK(module().call("echo", bytes) == DirectAnswer{0, bytes});
    }
}

TEST_CASE("echo takes no configuration or a map, and fails in create when asked to") {
    ModuleFixture echo("BERTH_ECHO_SO");
    CHECK(echo.create_fails(cbor({{"fail", "not today"}})) == "not today");
    CHECK(echo.create_fails(cbor({{"fail", 1}})) == "create: key \"fail\": not text");
    CHECK(echo.create_fails(cbor({{"x", 1}})) == "create: key \"x\": unknown");
    CHECK(echo.create_fails("\xff") == "create: not a CBOR map: a break outside of an indefinite item");
    std::string why;
    CHECK(echo.module().create("", &why));
}

TEST_CASE("echo version needs no context") {
    ModuleFixture echo("BERTH_ECHO_SO");
    CHECK(echo.ok("version", nullptr).get<std::string>().starts_with("berth-echo "));
}

TEST_CASE_FIXTURE(Echo, "later answers run side by side, in the order of their due time") {
    auto start = std::chrono::steady_clock::now();
    berth_request slow = later(120, "slow"), fast = later(10, "fast"), middle = later(60, blob({1, 2}));
    CHECK(module().wait(slow) == DirectAnswer{0, "slow"});
    CHECK(module().wait(fast) == DirectAnswer{0, "fast"});
    CHECK(module().wait(middle) == DirectAnswer{0, "\x01\x02"});
    CHECK(module().answered() == std::vector{fast, middle, slow});
    auto took = std::chrono::steady_clock::now() - start;
    CHECK(took >= 120ms);
    CHECK(took < 5s);
}

TEST_CASE_FIXTURE(Echo, "a thousand later answers all come, in order") {
    std::vector<berth_request> requests;
    for (int i = 0; i < 1000; i++)
        requests.push_back(later(20, std::to_string(i)));
    for (int i = 0; i < 1000; i++)
        CHECK(module().wait(requests[static_cast<size_t>(i)]) == DirectAnswer{0, std::to_string(i)});
    CHECK(module().answered() == requests);
}

TEST_CASE_FIXTURE(Echo, "a cancelled later is answered at once, the others when due") {
    berth_request far = later(UINT64_MAX, ""), near = later(30, "near");
    module().call("echo", "");
    module().cancel(far);
    CHECK(module().wait(far) == DirectAnswer{1, "cancelled"});
    CHECK(module().wait(near) == DirectAnswer{0, "near"});
}

TEST_CASE_FIXTURE(Echo, "destroy answers what still waits") {
    berth_request first = later(1000000, ""), second = later(2000000, "");
    module().destroy();
    CHECK(module().wait(first) == DirectAnswer{1, "cancelled"});
    CHECK(module().wait(second) == DirectAnswer{1, "cancelled"});
}

TEST_CASE_FIXTURE(Echo, "fail gives RET_ERR with its text, even an empty one") {
    CHECK(error("fail", {{"text", "d\xc3\xa9j\xc3\xa0"}}) == "d\xc3\xa9j\xc3\xa0");
    CHECK(error("fail", {{"text", ""}}).empty());
}

TEST_CASE_FIXTURE(Echo, "emit sends numbered ticks and counts them") {
    CHECK(ok("emit", {{"count", 300}, {"bytes", 6}}) == Json{{"sent", 300}, {"dropped", 0}});
    auto events = module().wait_events(300);
    REQUIRE(events.size() == 300);
    CHECK(events[258].name == "tick");
    CHECK(events[258].bytes == std::string("\x02\x01\0\0\0\0", 6));
    CHECK(ok("emit", {{"count", 1}, {"bytes", 3}})["sent"] == 1);
    CHECK(module().wait_events(1).at(0).bytes == std::string(3, '\0'));
}

TEST_CASE_FIXTURE(Echo, "emit counts what was dropped") {
    module().listen(true, 10);
    CHECK(ok("emit", {{"count", 25}, {"bytes", 0}}) == Json{{"sent", 10}, {"dropped", 15}});
    module().listen(false);
    CHECK(ok("emit", {{"count", 5}, {"bytes", 0}}) == Json{{"sent", 0}, {"dropped", 5}});
}

TEST_CASE_FIXTURE(Echo, "stream sends numbered data, then how much it was") {
    berth_request request = module().submit("stream", cbor({{"count", 300}, {"bytes", 6}}));
    CHECK(module().wait(request) == DirectAnswer{0, "\x19\x01\x2c"});
    auto data = module().take_data(request);
    REQUIRE(data.size() == 300);
    CHECK(data[0] == std::string(6, '\0'));
    CHECK(data[258] == std::string("\0\0\x01\x02\0\0", 6));
    request = module().submit("stream", cbor({{"count", 2}, {"bytes", 0}}));
    CHECK(module().wait(request) == DirectAnswer{0, "\x02"});
    CHECK(module().take_data(request) == std::vector<std::string>{"", ""});
    CHECK(ok("stream", {{"count", 0}, {"bytes", 1}}) == 0);
    CHECK(error("stream", {{"count", 1}}) == "stream: key \"bytes\": missing");
}

TEST_CASE_FIXTURE(Echo, "block holds the library thread, until cancelled") {
    CHECK(ok("block", {{"ms", 5}}) == nullptr);
    berth_request blocked = module().submit("block", cbor({{"ms", 1000000}}));
    berth_request behind = module().submit("echo", "x");
    CHECK_FALSE(module().wait(behind, 50ms));
    module().cancel(blocked);
    CHECK(module().wait(blocked) == DirectAnswer{1, "cancelled"});
    CHECK(module().wait(behind) == DirectAnswer{0, "x"});
    CHECK(ok("block", {{"ms", 1}}) == nullptr);
}

TEST_CASE_FIXTURE(Echo, "alloc keeps what it allocates") {
    CHECK(ok("alloc", {{"mib", 3}}) == 3);
    CHECK(ok("alloc", {{"mib", 0}}) == 3);
    CHECK(ok("alloc", {{"mib", 2}}) == 5);
}

TEST_CASE_FIXTURE(Echo, "requests that are not what the method takes are refused by name") {
    CHECK(error_of("emit", "\x01") == "emit: not a CBOR map");
    CHECK(error("later", {{"ms", "1"}, {"data", ""}}) == "later: key \"ms\": not an unsigned integer");
    CHECK(error("later", {{"ms", -1}, {"data", ""}}) == "later: key \"ms\": not an unsigned integer");
    CHECK(error("later", {{"ms", 1}}) == "later: key \"data\": missing");
    CHECK(error("later", {{"ms", 1}, {"data", 1}}) == "later: key \"data\": not bytes or text");
    CHECK(error("emit", {{"count", 10000001}, {"bytes", 0}}) == "emit: key \"count\": over 10000000");
    CHECK(error("emit", {{"count", 1}, {"bytes", (16 << 20) + 1}}) == "emit: key \"bytes\": over 16777216");
    CHECK(error("alloc", {{"mib", 4097}}) == "alloc: key \"mib\": over 4096");
    CHECK(error("block", {{"ms", 1}, {"s", 1}}) == "block: key \"s\": unknown");
    CHECK(error("die", {{"how", "fast"}}) == "die: key \"how\": not segv, abort, exit or stack");
}

// In a child without threads of the parent's: it loads the module anew. A sanitizer may end it with a report, and by
// exiting, so what is asked is that it does not live on.
TEST_CASE("die ends the process in the way it was told") {
    for (auto [how, signal] : {std::pair{"segv", SIGSEGV}, {"abort", SIGABRT}, {"exit", 0}, {"stack", SIGSEGV}}) {
        INFO(std::string(how));
        std::cout.flush(); // not twice
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            close(STDERR_FILENO);
            std::signal(SIGSEGV, SIG_DFL); // doctest's handlers would report the death as a failed test
            std::signal(SIGABRT, SIG_DFL);
            std::string why;
            auto module = DirectModule::load(std::getenv("BERTH_ECHO_SO"), &why);
            if (module && module->create("", &why))
                module->call("die", cbor({{"how", how}}));
            _exit(0);
        }
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        bool lived_on = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        CHECK_FALSE(lived_on);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        CHECK((signal ? WIFSIGNALED(status) && WTERMSIG(status) == signal : WEXITSTATUS(status) == 3));
#endif
    }
}
