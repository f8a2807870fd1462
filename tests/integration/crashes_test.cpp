// What is known of a worker that died: by the library's call, by the command line, by files.
#include <csignal>
#include <doctest/doctest.h>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "cbor_text.h"
#include "crash_modules.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "program.h"
#include "service.h"

using namespace berth::test;

namespace {

using Json = nlohmann::json;

// All reports, once there are `count`.
Json crashes_from(const Host &host, size_t count) {
    Json crashes;
    eventually([&] {
        std::string bytes = host.crashes().bytes;
        crashes = Json::from_cbor(bytes.begin(), bytes.end(), true, false);
        return crashes.is_array() && crashes.size() >= count;
    });
    return crashes;
}

Json first_crash(const Host &host) {
    Json crashes = crashes_from(host, 1);
    REQUIRE(!crashes.empty());
    return crashes.front();
}

// The last report, once there are `count`, and no more.
Json last_crash(const Host &host, size_t count) {
    Json crashes = crashes_from(host, count);
    REQUIRE_MESSAGE(crashes.size() == count, crashes.dump());
    return crashes.back();
}

bool has_frame_of(const Json &crash, const std::string &library) {
    for (const auto &frame : crash.value("backtrace", Json::array()))
        if (frame.value("module", "").find(library) != std::string::npos && frame.value("offset", 0u) > 0)
            return true;
    return false;
}

void check_request(const Json &crash, const char *method, size_t size) {
    CHECK(crash["doing"] == "request");
    CHECK(crash["request"]["method"] == method);
    CHECK(crash["request"]["size"] == size);
    CHECK(crash["request"]["id"].get<uint64_t>() > 0);
}

struct Way {
    const char *how;
    int signal; // 0: exit status 3
};

void check_way(const Host &host, const Way &way, size_t count) {
    CAPTURE(way.how);
    std::string request = cbor("{\"how\": \"" + std::string(way.how) + "\"}");
    Context context(host);
    CHECK(context.call("die", request).ret == BERTH_RET_WORKER_DIED);
    Json crash = last_crash(host, count);
    INFO(crash.value("fault", Json()).dump(), crash.value("backtrace", Json()).dump().substr(0, 1000));
    CHECK(crash["module"] == "echo");
    CHECK(crash["version"].get<std::string>().size() > 0);
    CHECK(crash["state"] == "Leased");
    CHECK(crash["uid"] == ::getuid());
    CHECK(crash["host_pid"] == ::getpid());
    CHECK(crash["context"].get<uint64_t>() > 0);
    CHECK(crash["uses"].get<uint64_t>() > 0);
    CHECK(crash["time_ms"].get<uint64_t>() > 1'600'000'000'000);
    check_request(crash, "die", request.size());
    if (way.signal == 0) {
        CHECK(crash["status"] == 3);
        CHECK_FALSE(crash.contains("fault"));
        return;
    }
    CHECK(crash["signal"] == way.signal);
    CHECK(crash["fault"]["signal"] == way.signal);
    CHECK(crash["registers"].size() > 10);
    CHECK(crash["maps"].size() > 10);
    CHECK(crash["complete"] == true);
    CHECK(has_frame_of(crash, "libberth-echo.so"));
    bool overflow = std::string(way.how) == "stack"; // all the frames there is room for are the recursion's
    CHECK(crash["backtrace_cut"] == overflow);
    CHECK(has_frame_of(crash, "berth-worker") == !overflow);
}

constexpr Way kWays[] = {{"segv", SIGSEGV}, {"abort", SIGABRT}, {"exit", 0}, {"stack", SIGSEGV}};

void check_ways(const Host &host) {
    size_t count = 0;
    for (const auto &way : kWays) {
        check_way(host, way, ++count);
        REQUIRE(host.reset("echo").ret == BERTH_RET_OK);
    }
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "each way to die has its report, with a private supervisor") { check_ways(Host()); }

TEST_CASE_FIXTURE(LeakChecked, "each way to die has its report, with a service") {
    Service service;
    check_ways(Host(service.socket()));
}

TEST_CASE_FIXTURE(LeakChecked, "without a crash there is an empty list") {
    Host host;
    CHECK(Context(host).call("echo", "x").ret == BERTH_RET_OK);
    Answer answer = host.crashes();
    CHECK(answer.ret == BERTH_RET_OK);
    CHECK(json(answer.bytes) == "[]");
    CHECK(berth_crashes(host.handle(), nullptr) == BERTH_RET_INVALID_ARGUMENT);
    berth_reply reply;
    CHECK(berth_crashes({12345}, &reply) == BERTH_RET_INVALID_CTX);
    berth_reply_free(&reply);
}

TEST_CASE_FIXTURE(LeakChecked, "no payload is in a report: not of the request that ran, nor of others") {
    Host host;
    Context context(host);
    std::string canary = "CANARY-IN-THE-COAL-MINE", many;
    while (many.size() < 100'000)
        many += canary;
    Record flying, queued;
    CHECK(context.call("echo", many).ret == BERTH_RET_OK);
    REQUIRE(context.submit("later", later_request(60'000, many), Record::callback, &flying) == BERTH_RET_OK);
    REQUIRE(context.submit("die", cbor(R"({"how": "segv"})"), Record::callback, &queued) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return flying.answered() && queued.answered(); }));
    last_crash(host, 1);
    std::string bytes = host.crashes().bytes;
    CHECK(bytes.size() > 1000);
    for (size_t at = 0; at + 6 <= canary.size(); at++)
        CHECK(bytes.find(canary.substr(at, 6)) == std::string::npos);
    CHECK(bytes.find(cbor(R"({"how": "segv"})").substr(1)) == std::string::npos);
}

TEST_CASE_FIXTURE(LeakChecked, "a kill from outside: what ran, and no registers") {
    Host host;
    Context context(host);
    Record blocked;
    std::string request = cbor(R"({"ms": 60000})");
    pid_t worker = host.worker();
    REQUIRE(context.submit("block", request, Record::callback, &blocked) == BERTH_RET_OK);
    sleep_ms(100); // it has most likely begun by then; when not, `doing` below says so
    ::kill(worker, SIGKILL);
    REQUIRE(eventually([&] { return blocked.answered(); }));
    Json crash = last_crash(host, 1);
    CHECK(crash["signal"] == SIGKILL);
    CHECK(crash["pid"] == worker);
    CHECK_FALSE(crash.contains("fault"));
    CHECK_FALSE(crash.contains("killed"));
    if (!crash["doing"].is_null())
        check_request(crash, "block", request.size());
}

TEST_CASE_FIXTURE(LeakChecked, "a worker that its supervisor has to kill: the report says why") {
    CrashModules modules("drain_timeout_ms = 50\nteardown_timeout_ms = 50\n");
    Host host(Host::Private::FromFolder, modules.path());
    Context context(host, "crasher");
    pid_t worker = host.worker();
    ::kill(worker, SIGSTOP);
    CHECK(context.close() == BERTH_RET_OK);
    Json crash = last_crash(host, 1);
    CHECK(crash["pid"] == worker);
    CHECK(crash["killed"].get<std::string>().find("Draining") != std::string::npos);
}

TEST_CASE_FIXTURE(LeakChecked, "the last lines that it logged") {
    TempDir folder;
    write_file(folder / "probe.toml", "library = \"" + needed_variable("BERTH_TEST_MODULES") + "/libberth-probe.so\"\n");
    Host prober(Host::Private::FromFolder, folder.path());
    Context context(prober, "probe");
    for (int i = 0; i < 30; i++)
        CHECK(context.call("say", "line " + std::to_string(i)).ret == BERTH_RET_OK);
    ::kill(prober.worker(), SIGKILL);
    Json log = last_crash(prober, 1)["log"];
    CHECK(log.size() == 20);
    CHECK(log.dump().find(": line 29\"") != std::string::npos); // of stdout or stderr: they are two pipes
    CHECK(log.dump().find("line 2\"") == std::string::npos);
}

TEST_CASE_FIXTURE(LeakChecked, "a crash on a thread of the library's names that thread, and what the library thread ran") {
    CrashModules modules;
    Host host(Host::Private::FromFolder, modules.path());
    size_t count = 0;
    for (const char *method : {"on_a_thread", "on_two_threads"}) {
        CAPTURE(method);
        Context context(host, "crasher");
        CHECK(context.call(method, "12345").ret == BERTH_RET_WORKER_DIED);
        Json crash = last_crash(host, ++count);
        CHECK(crash["fault"]["signal"] == SIGSEGV);
        CHECK(crash["fault"]["thread"] != crash["pid"]);
        CHECK(has_frame_of(crash, "libberth-crasher.so"));
        CHECK(crash["complete"] == true);
        check_request(crash, method, 5);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a jump to nowhere: the frame that made it is there") {
    CrashModules modules;
    Host host(Host::Private::FromFolder, modules.path());
    CHECK(Context(host, "crasher").call("nowhere", "").ret == BERTH_RET_WORKER_DIED);
    Json crash = last_crash(host, 1);
    CHECK(crash["fault"]["address"] == 0);
    CHECK(has_frame_of(crash, "libberth-crasher.so"));
}

TEST_CASE_FIXTURE(LeakChecked, "a library with a handler of its own: it is not hindered, and ours runs when passed on to") {
    CrashModules modules;
    Host host(Host::Private::FromFolder, modules.path());
    CHECK(Context(host, "crasher").call("own_handler", "1").ret == BERTH_RET_WORKER_DIED);
    Json own = last_crash(host, 1);
    CHECK(own["status"] == 9);
    CHECK_FALSE(own.contains("fault"));
    check_request(own, "own_handler", 1);
    CHECK(Context(host, "crasher").call("passed_on", "12").ret == BERTH_RET_WORKER_DIED);
    Json passed = last_crash(host, 2);
    CHECK(passed["signal"] == SIGSEGV);
    CHECK(has_frame_of(passed, "libberth-crasher.so"));
}

TEST_CASE_FIXTURE(LeakChecked, "a child that the library forked dies its own death") {
    CrashModules modules;
    Host host(Host::Private::FromFolder, modules.path());
    Context context(host, "crasher");
    CHECK(context.call("in_a_child", "") == Answer{0, std::to_string(SIGSEGV)});
    CHECK(json(host.crashes().bytes) == "[]");
    CHECK(context.call("plain", "1").ret == BERTH_RET_WORKER_DIED);
    Json crash = last_crash(host, 1);
    CHECK(crash["fault"]["thread"] == crash["pid"]);
    CHECK(crash["complete"] == true);
}

TEST_CASE_FIXTURE(LeakChecked, "a library that crashes while it is loaded") {
    CrashModules modules;
    Host host(Host::Private::FromFolder, modules.path());
    CHECK(open_answer(host, "at-load").ret == BERTH_RET_ERR);
    Json crash = first_crash(host); // another worker may have been on its way
    CHECK(crash["state"] == "Spawning");
    CHECK(crash["context"].is_null());
    CHECK(crash["doing"].is_null());
    CHECK(has_frame_of(crash, "libberth-crash-at-load.so"));
}

TEST_CASE_FIXTURE(LeakChecked, "the command line shows the crashes of a service") {
    Service service;
    Host host(service.socket());
    std::string berth = needed_variable("BERTH_CLI");
    Ran none = run_program({berth, "crashes", "--socket", service.socket()});
    CHECK(none.out == "no crashes\n");
    CHECK(Context(host).call("die", cbor(R"({"how": "abort"})")).ret == BERTH_RET_WORKER_DIED);
    last_crash(host, 1);
    Ran text = run_program({berth, "crashes", "--socket", service.socket()});
    CHECK(text.status == 0);
    for (const char *part : {" echo ", ": SIGABRT\n", "it ran die, request ", "11 bytes", "libberth-echo.so+0x", "rip 0x"})
        CHECK_MESSAGE(text.out.find(part) != std::string::npos, part << " in\n" << text.out);
    Ran json = run_program({berth, "crashes", "--json", "--socket", service.socket()});
    CHECK(json.status == 0);
    CHECK(Json::parse(json.out)[0]["request"]["method"] == "die");
}

TEST_CASE_FIXTURE(LeakChecked, "the command line with a supervisor of its own has nothing to show, and says so") {
    std::string berth = needed_variable("BERTH_CLI");
    Ran ran = run_program({berth, "crashes", "--private"});
    CHECK(ran.status == 0);
    CHECK(ran.out.find("No service runs here") == 0);
    CHECK(run_program({berth, "crashes", "--private", "--json"}).out == "[]\n");
}

TEST_CASE_FIXTURE(LeakChecked, "a service with a state directory keeps the reports as files, and its workers do not see it") {
    TempDir state;
    CrashModules modules;
    ::setenv("STATE_DIRECTORY", state.path().c_str(), 1);
    Service service({.modules = modules.path()});
    ::unsetenv("STATE_DIRECTORY");
    Host host(service.socket());
    CHECK(Context(host, "crasher").call("plain", "").ret == BERTH_RET_WORKER_DIED);
    Json crash = last_crash(host, 1);
    std::vector<std::string> files;
    for (const auto &file : std::filesystem::directory_iterator(state.path()))
        files.push_back(file.path());
    REQUIRE(files.size() == 1);
    CHECK(Json::parse(read_file(files[0])) == crash);
    struct stat file;
    REQUIRE(::stat(files[0].c_str(), &file) == 0);
    CHECK((file.st_mode & 0777) == 0600);
    Context next(host, "crasher");
    auto workers = host.workers();
    REQUIRE(workers.size() == 1);
    CHECK(read_file("/proc/" + std::to_string(workers[0]) + "/environ").find("STATE_DIRECTORY") == std::string::npos);
}

TEST_CASE_FIXTURE(LeakChecked, "a private supervisor writes nothing to its host's state directory") {
    TempDir state;
    ::setenv("STATE_DIRECTORY", state.path().c_str(), 1);
    {
        Host host;
        CHECK(Context(host).call("die", cbor(R"({"how": "segv"})")).ret == BERTH_RET_WORKER_DIED);
        last_crash(host, 1);
    }
    ::unsetenv("STATE_DIRECTORY");
    CHECK(std::filesystem::is_empty(state.path()));
}

TEST_CASE_FIXTURE(LeakChecked, "a hundred crashes: sixteen reports, and the supervisor holds no more descriptors than before") {
    CrashModules modules("quarantine_after = 0\n");
    Host host(Host::Private::FromFolder, modules.path());
    auto fds = [&] {
        size_t count = 0;
        for (const auto &fd : std::filesystem::directory_iterator("/proc/" + std::to_string(host.supervisor()) + "/fd"))
            count += !fd.path().empty();
        return count;
    };
    auto crash = [&] {
        CHECK(Context(host, "crasher").call("plain", "").ret == BERTH_RET_WORKER_DIED);
        CHECK(host.reset("crasher").ret == BERTH_RET_OK);
        return host.crashes().ret;
    };
    for (int i = 0; i < 20; i++)
        CHECK(crash() == BERTH_RET_OK);
    size_t before = fds();
    for (int i = 0; i < 80; i++)
        CHECK(crash() == BERTH_RET_OK);
    last_crash(host, 16);
    CHECK(eventually([&] { return fds() <= before; }));
}
