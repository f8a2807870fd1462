// A module whose workers keep crashing is held back and then not served, for the user whose workers crash.
#include <csignal>
#include <doctest/doctest.h>
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

void crash(const Host &host, const std::string &module = "crasher") {
    Context context(host, module);
    CHECK(context.call("plain", "").ret == BERTH_RET_WORKER_DIED);
}

// The open that follows: its answer, and closed if there is anything to close.
Answer try_open(const Host &host, const std::string &module = "crasher") {
    berth_context context{0};
    Answer answer = open_answer(host, module, "", &context);
    if (answer.ret == BERTH_RET_OK)
        CHECK(berth_close(context, nullptr, nullptr) == BERTH_RET_OK);
    return answer;
}

void check_quarantined(const Answer &answer, const char *count) {
    CHECK(answer.ret == BERTH_RET_EXHAUSTED);
    for (const char *part : {"in quarantine", count, "within", "berth reset"})
        CHECK_MESSAGE(answer.bytes.find(part) != std::string::npos, part << " in " << answer.bytes);
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "after so many crashes the module is EXHAUSTED with the reason, and a reset lifts it") {
    CrashModules modules("quarantine_after = 3\nspares = 1\n");
    Host host(Host::Private::FromFolder, modules.path());
    for (int i = 0; i < 3; i++)
        crash(host);
    Answer refused;
    CHECK(eventually([&] { return (refused = try_open(host)).ret == BERTH_RET_EXHAUSTED; }));
    check_quarantined(refused, "3 of its workers");
    CHECK(refused.bytes.find("signal 11") != std::string::npos);
    std::string status = host.status().bytes;
    CHECK(text_at(status, "/modules/1/name") == "crasher");
    CHECK(number_at(status, "/modules/1/crashes") == 3);
    CHECK(number_at(status, "/modules/1/quarantined/0") == ::getuid());
    CHECK(number_at(status, "/modules/1/held_back_ms") > 60'000);
    CHECK(number_at(status, "/modules/2/crashes") == 0);
    CHECK(try_open(host, "fine").ret == BERTH_RET_OK);
    CHECK(host.reset("crasher") == Answer{0, "\xf6"});
    CHECK(number_at(host.status().bytes, "/modules/1/crashes") == 0);
    CHECK(try_open(host).ret == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "a module that crashes while it is loaded: the opens are told, then it is quarantined") {
    CrashModules modules("quarantine_after = 2\n");
    Host host(Host::Private::FromFolder, modules.path());
    CHECK(try_open(host, "at-load").ret == BERTH_RET_ERR);
    Answer second = try_open(host, "at-load");
    CHECK((second.ret == BERTH_RET_ERR || second.ret == BERTH_RET_EXHAUSTED));
    check_quarantined(try_open(host, "at-load"), " of its workers"); // one more may have been on its way
}

TEST_CASE_FIXTURE(LeakChecked, "a context that was closed in order between two crashes: no quarantine") {
    CrashModules modules("quarantine_after = 2\n");
    Host host(Host::Private::FromFolder, modules.path());
    for (int i = 0; i < 4; i++) {
        crash(host);
        CHECK(try_open(host).ret == BERTH_RET_OK);
        CHECK(eventually([&] { return number_at(host.status().bytes, "/contexts/0/id") < 1; })); // it is known to be over
    }
}

TEST_CASE_FIXTURE(LeakChecked, "quarantine_after = 0: it is served on, only later") {
    CrashModules modules("quarantine_after = 0\n");
    Host host(Host::Private::FromFolder, modules.path());
    for (int i = 0; i < 6; i++)
        crash(host);
    CHECK(try_open(host).ret == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "a quarantine ends by itself") {
    CrashModules modules("quarantine_after = 1\nquarantine_ms = 200\n");
    Host host(Host::Private::FromFolder, modules.path());
    crash(host);
    CHECK(eventually([&] { return try_open(host).ret == BERTH_RET_OK; }));
}

TEST_CASE_FIXTURE(LeakChecked, "a changed manifest lifts a quarantine, an unchanged one does not") {
    CrashModules modules("quarantine_after = 1\n");
    Service service({.modules = modules.path()});
    Host host(service.socket());
    crash(host);
    CHECK(eventually([&] { return try_open(host).ret == BERTH_RET_EXHAUSTED; }));
    service.send(SIGHUP);
    CHECK(service.logs("reading the manifests again"));
    check_quarantined(try_open(host), "1 of its workers");
    modules.write("quarantine_after = 1\ndescription = \"mended\"\n");
    service.send(SIGHUP);
    CHECK(eventually([&] { return try_open(host).ret == BERTH_RET_OK; }));
}

TEST_CASE_FIXTURE(LeakChecked, "what the supervisor kills itself does not count, what others kill does") {
    CrashModules modules("quarantine_after = 1\ndrain_timeout_ms = 50\nteardown_timeout_ms = 50\n");
    Host host(Host::Private::FromFolder, modules.path());
    {
        Context context(host, "crasher");
        ::kill(host.worker(), SIGSTOP);
        CHECK(context.close() == BERTH_RET_OK);
        context.forget();
    }
    CHECK(eventually([&] { return number_at(host.crashes().bytes, "/0/pid") > 0; }));
    CHECK(text_at(host.crashes().bytes, "/0/killed").size() > 0);
    Context context(host, "crasher");
    ::kill(host.worker(), SIGKILL);
    CHECK(eventually([&] { return try_open(host).ret == BERTH_RET_EXHAUSTED; }));
}

TEST_CASE_FIXTURE(LeakChecked, "opens that wait for a worker are refused when the quarantine begins") {
    CrashModules modules("quarantine_after = 1\nmax_contexts = 1\n");
    Host host(Host::Private::FromFolder, modules.path());
    Context context(host, "crasher");
    Record waiting, other;
    berth_context second{0}, third{0};
    REQUIRE(berth_open_submit(host.handle(), "crasher", nullptr, 0, nullptr, Record::callback, &waiting, &second) == 0);
    REQUIRE(berth_open_submit(host.handle(), "crasher", nullptr, 0, nullptr, Record::callback, &other, &third) == 0);
    CHECK(context.call("plain", "").ret == BERTH_RET_WORKER_DIED);
    REQUIRE(eventually([&] { return waiting.answered() && other.answered(); }));
    check_quarantined({waiting.ret, waiting.bytes}, "1 of its workers");
    CHECK(other.ret == BERTH_RET_EXHAUSTED);
}

TEST_CASE_FIXTURE(LeakChecked, "a reset needs a module that there is") {
    Host host;
    Answer answer = host.reset("nowhere");
    CHECK(answer.ret == BERTH_RET_NO_MODULE);
    CHECK(answer.bytes.find("known are: echo") != std::string::npos);
    CHECK(host.reset("").ret == BERTH_RET_INVALID_ARGUMENT);
    CHECK(host.reset(std::string(65, 'x')).ret == BERTH_RET_INVALID_ARGUMENT);
    CHECK(berth_reset(host.handle(), nullptr, nullptr) == BERTH_RET_INVALID_ARGUMENT);
    CHECK(berth_reset(host.handle(), "echo", nullptr) == BERTH_RET_OK);
    CHECK(berth_reset({12345}, "echo", nullptr) == BERTH_RET_INVALID_CTX);
}

TEST_CASE_FIXTURE(LeakChecked, "reset on the command line") {
    CrashModules modules("quarantine_after = 1\n");
    Service service({.modules = modules.path()});
    Host host(service.socket());
    std::string berth = needed_variable("BERTH_CLI");
    crash(host);
    CHECK(eventually([&] { return try_open(host).ret == BERTH_RET_EXHAUSTED; }));
    Ran wrong = run_program({berth, "reset", "--socket", service.socket(), "nowhere"});
    CHECK(wrong.status == 3);
    CHECK(wrong.err.find("NO_MODULE") != std::string::npos);
    Ran ran = run_program({berth, "reset", "--socket", service.socket(), "crasher"});
    CHECK(ran.status == 0);
    CHECK(ran.out + ran.err == "");
    CHECK(try_open(host).ret == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "one user's crashes are not another's: neither the reports nor the quarantine") {
    constexpr uid_t kNobody = 65534;
    std::string berth = needed_variable("BERTH_CLI");
    std::string crasher = needed_variable("BERTH_TEST_MODULES") + "/libberth-crasher.so";
    bool can = ::geteuid() == 0 && run_program({berth, "--version"}, {}, kNobody).status == 0 &&
               run_program({"test", "-r", crasher}, {}, kNobody).status == 0;
    if (!can) {
        MESSAGE("not root, or the build tree is closed to other users: not tested");
        return;
    }
    CrashModules modules("quarantine_after = 2\n");
    Service service({.modules = modules.path()});
    std::string folder = service.socket().substr(0, service.socket().rfind('/'));
    ::chmod(folder.c_str(), 0755);
    auto as_nobody = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), berth);
        arguments.insert(arguments.begin() + 2, {"--socket", service.socket()});
        return run_program(arguments, {}, kNobody);
    };
    Host root(service.socket());
    crash(root);
    CHECK(as_nobody({"crashes", "--json"}).out == "[]\n");
    for (int i = 0; i < 2; i++)
        CHECK(as_nobody({"call", "crasher", "plain"}).err.find("WORKER_DIED") != std::string::npos);
    Ran held = as_nobody({"call", "crasher", "fine"});
    CHECK_MESSAGE(held.err.find("EXHAUSTED") != std::string::npos, held.err);
    CHECK(try_open(root).ret == BERTH_RET_OK);
    std::string theirs = as_nobody({"crashes", "--json"}).out;
    CHECK(theirs.find("\"uid\": 65534") != std::string::npos);
    CHECK(theirs.find("\"uid\": 0") == std::string::npos);
    CHECK(number_at(root.crashes().bytes, "/2/uid") == kNobody);
    CHECK(number_at(root.crashes().bytes, "/0/uid") == 0);
    CHECK(as_nobody({"reset", "crasher"}).status == 0);
    CHECK(as_nobody({"call", "crasher", "fine"}).status == 0);
}
