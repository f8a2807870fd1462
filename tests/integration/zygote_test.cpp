// Workers that a zygote forks: as good as spawned ones, and dispensable.
#include <csignal>
#include <doctest/doctest.h>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>
#include <unistd.h>
#include <vector>

#include "cbor_text.h"
#include "crash_modules.h"
#include "host.h"
#include "leak_check.h"
#include "probe_folder.h"
#include "service.h"

using namespace berth::test;

namespace {

std::string proc_file(pid_t pid, const char *file) { return read_file("/proc/" + std::to_string(pid) + "/" + file); }

bool is_forked(pid_t pid) { return proc_file(pid, "cmdline").find(std::string("\0--zygote\0", 10)) != std::string::npos; }

// 0: none is ready.
pid_t ready_zygote(const Host &host) {
    std::string status = host.status().bytes;
    for (int i = 0;; i++) {
        std::string at = "/zygotes/" + std::to_string(i);
        int64_t pid = number_at(status, at + "/pid");
        if (pid < 0)
            return 0;
        if (text_at(status, at + "/state") == "Ready")
            return static_cast<pid_t>(pid);
    }
}

// A ready zygote other than `former`, which a first open has made.
pid_t await_zygote(const Host &host, pid_t former = 0) {
    pid_t pid = 0;
    CHECK(eventually([&] { return (pid = ready_zygote(host)) != 0 && pid != former; }));
    return pid;
}

size_t zygotes(const Host &host) {
    std::string status = host.status().bytes;
    size_t count = 0;
    while (number_at(status, "/zygotes/" + std::to_string(count) + "/pid") >= 0)
        count++;
    return count;
}

std::set<pid_t> pids_of(const Host &host) {
    auto pids = host.workers();
    return {pids.begin(), pids.end()};
}

// A context on a worker of its own that was not there before.
struct Fresh {
    std::set<pid_t> before;
    std::unique_ptr<Context> context;
    pid_t pid = 0;
    Fresh(const Host &host, const std::string &module)
        : before(pids_of(host)), context(std::make_unique<Context>(host, module)) {
        for (pid_t now : host.workers())
            if (!before.contains(now))
                pid = now;
        CHECK(pid > 0);
    }
};

// What a library would notice, apart from addresses and numbers: line by line, with a name.
std::string surroundings(pid_t pid) {
    std::ostringstream out;
    std::istringstream status(proc_file(pid, "status"));
    for (std::string line; std::getline(status, line);)
        for (const char *key : {"Name:", "State:", "PPid:", "Uid:", "Gid:", "Groups:", "Threads:", "SigQ:", "SigPnd:",
                                "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "CapEff:", "NoNewPrivs:", "Cpus_allowed:"})
            if (line.rfind(key, 0) == 0 && std::string(key) != "SigQ:")
                out << line << '\n';
    out << proc_file(pid, "limits") << "session of its own: " << (::getsid(pid) == pid) << '\n';
    std::error_code error;
    std::set<std::string> fds;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error)) {
        std::string target = std::filesystem::read_symlink(entry.path(), error);
        std::istringstream info(proc_file(pid, ("fdinfo/" + entry.path().filename().string()).c_str()));
        std::string flags;
        for (std::string line; std::getline(info, line);)
            if (line.rfind("flags:", 0) == 0)
                flags = line;
        fds.insert(entry.path().filename().string() + " " + target.substr(0, target.find('[')) + " " + flags);
    }
    for (const auto &fd : fds)
        out << fd << '\n';
    return out.str();
}

// The report of this worker's crash; null when there is none in time.
nlohmann::json crash_of(const Host &host, pid_t pid) {
    nlohmann::json found;
    eventually([&] {
        std::string bytes = host.crashes().bytes;
        for (auto &crash : nlohmann::json::from_cbor(bytes.begin(), bytes.end(), true, false))
            if (crash["pid"] == pid)
                found = crash;
        return !found.is_null();
    });
    return found;
}

struct Zygoted {
    ProbeFolder probe;
    Service service;
    Host host;
    Context first;
    pid_t zygote;
    explicit Zygoted(const std::string &more = "")
        : probe("zygote = true\n" + more), service({.modules = probe.folder.path()}), host(service.socket()),
          first(host, "probe"), zygote(await_zygote(host)) {}
};

struct Troubled {
    TempDir folder;
    explicit Troubled(const std::string &how) {
        write_file(folder / "probe.toml", "zygote = true\nlibrary = \"" + needed_variable("BERTH_TEST_MODULES") +
                                              "/libberth-zygote-trouble.so\"\n[env]\nZYGOTE_TROUBLE = \"" + how +
                                              "\"\n");
    }
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a forked worker has what a spawned one has, and the supervisor for its parent") {
    Zygoted with;
    Fresh forked(with.host, "probe");
    pid_t spawned = *forked.before.begin();
    REQUIRE(forked.before.size() == 1);
    CHECK_FALSE(is_forked(spawned));
    CHECK(is_forked(forked.pid));
    CHECK(number_at(with.host.status().bytes, "/zygotes/0/forks") == 1);
    std::string has, should_have; // both asleep
    CHECK(eventually([&] { return (has = surroundings(forked.pid)) == (should_have = surroundings(spawned)); }));
    CHECK(has == should_have);
    CHECK(proc_file(forked.pid, "environ") == proc_file(spawned, "environ"));
    CHECK(command_of(with.zygote) == "berth-zygote");
}

TEST_CASE_FIXTURE(LeakChecked, "what forked workers write is logged with their own origin") {
    Zygoted with;
    Fresh forked(with.host, "probe");
    CHECK(forked.context->call("say", "from a fork") == Answer{0, "said"});
    CHECK(with.service.logs("/" + std::to_string(forked.pid) + "] on stdout: from a fork"));
    CHECK(with.service.logs("/" + std::to_string(forked.pid) + "] on stderr: from a fork"));
    CHECK(forked.context->call("serial", "") == Answer{0, "1"}); // nothing of the library has run before
}

TEST_CASE_FIXTURE(LeakChecked, "many at once: each open has a worker of its own") {
    Zygoted with;
    std::vector<std::unique_ptr<Context>> contexts(40);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; thread++)
        threads.emplace_back([&, thread] {
            for (int i = thread; i < 40; i += 4)
                contexts[static_cast<size_t>(i)] = std::make_unique<Context>(with.host, "probe");
        });
    for (auto &thread : threads)
        thread.join();
    size_t forked = 0;
    for (pid_t pid : with.host.workers())
        forked += is_forked(pid);
    CHECK(forked > 0);
    for (auto &context : contexts)
        CHECK(context->call("twice", "") == Answer{0, "first"});
}

TEST_CASE_FIXTURE(LeakChecked, "a forked worker's death is told like any other's, each way to die") {
    EchoFolder echo("zygote = true\n");
    Service service({.modules = echo.folder.path()});
    Host host(service.socket());
    Context first(host, "echo");
    await_zygote(host);
    struct Way {
        const char *how, *key;
        int value;
    };
    for (Way way : {Way{"segv", "/signal", SIGSEGV}, Way{"abort", "/signal", SIGABRT}, Way{"exit", "/status", 3},
                    Way{"stack", "/signal", SIGSEGV}, Way{"kill", "/signal", SIGKILL}}) {
        CAPTURE(way.how);
        Fresh dying(host, "echo");
        REQUIRE(is_forked(dying.pid));
        Answer answer;
        if (way.value == SIGKILL) {
            Record flying;
            REQUIRE(dying.context->submit("later", later_request(60000, "x"), Record::callback, &flying) == 0);
            ::kill(dying.pid, SIGKILL);
            CHECK(eventually([&] { return flying.answered(); }));
            answer = {flying.ret, flying.bytes};
        } else {
            answer = dying.context->call("die", cbor("{\"how\": \"" + std::string(way.how) + "\"}"));
        }
        CHECK(answer.ret == BERTH_RET_WORKER_DIED);
        CHECK(number_at(answer.bytes, "/pid") == dying.pid);
        if (number_at(answer.bytes, "/status") != 1) // a sanitizer may exit in the signal's place
            CHECK_MESSAGE(number_at(answer.bytes, way.key) == way.value, json(answer.bytes));
        CHECK(dying.context->close() == BERTH_RET_OK);
        CHECK(eventually([&] { return ::kill(dying.pid, 0) != 0; })); // reaped
        auto crash = crash_of(host, dying.pid);
        REQUIRE_FALSE(crash.is_null());
        CHECK(crash["host_pid"] == ::getpid());
        if (way.value != SIGKILL || !crash["doing"].is_null()) // that one may have met the handler
            CHECK(crash["doing"] == "request");
        CHECK(host.reset("echo").ret == BERTH_RET_OK);
    }
    CHECK(first.call("echo", "undisturbed") == Answer{0, "undisturbed"});
}

TEST_CASE_FIXTURE(LeakChecked, "forked workers write their crashes down each for itself") {
    CrashModules modules("zygote = true\n");
    Service service({.modules = modules.path()});
    Host host(service.socket());
    Context first(host, "crasher");
    await_zygote(host);
    Fresh one(host, "crasher"), other(host, "crasher");
    for (Fresh *dying : {&one, &other}) {
        REQUIRE(is_forked(dying->pid));
        CHECK(dying->context->call("plain", "").ret == BERTH_RET_WORKER_DIED);
        auto crash = crash_of(host, dying->pid);
        REQUIRE_FALSE(crash.is_null());
        CHECK(crash["request"]["method"] == "plain");
        CHECK(crash["signal"] == SIGSEGV);
        CHECK(crash["fault"]["thread"] == dying->pid);
        CHECK(crash["complete"] == true);
        CHECK(crash["backtrace"].dump().find("libberth-crasher.so") != std::string::npos);
    }
    CHECK(ready_zygote(host) != 0);
    CHECK(first.call("fine", "").ret == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "crashes of forked workers count, and a quarantine forks none") {
    CrashModules modules("zygote = true\nquarantine_after = 2\n");
    Service service({.modules = modules.path()});
    Host host(service.socket());
    Context first(host, "crasher");
    await_zygote(host);
    for (int i = 0; i < 2; i++) {
        Fresh dying(host, "crasher");
        REQUIRE(is_forked(dying.pid));
        CHECK(dying.context->call("plain", "").ret == BERTH_RET_WORKER_DIED);
        REQUIRE_FALSE(crash_of(host, dying.pid).is_null());
    }
    berth_context context{0};
    Answer refused = open_answer(host, "crasher", "", &context);
    CHECK(refused.ret == BERTH_RET_EXHAUSTED);
    CHECK_MESSAGE(refused.bytes.find("in quarantine") != std::string::npos, refused.bytes);
    CHECK(number_at(host.status().bytes, "/zygotes/0/forks") == 2);
    CHECK(host.reset("crasher").ret == BERTH_RET_OK);
    CHECK(is_forked(Fresh(host, "crasher").pid));
}

TEST_CASE_FIXTURE(LeakChecked, "the supervisor is killed: its zygote ends, the forked worker serves on and comes back") {
    Zygoted with;
    Fresh forked(with.host, "probe");
    REQUIRE(is_forked(forked.pid));
    with.service.kill();
    CHECK(gone_soon(with.zygote));
    CHECK(forked.context->call("serial", "") == Answer{0, "1"});
    with.service.start_again();
    CHECK_MESSAGE(with.service.logs("worker " + std::to_string(forked.pid) + " (probe) is back"), with.service.log());
    CHECK(eventually([&] { return text_at(with.host.status().bytes, "/contexts/1/state") == "Active"; }));
    CHECK(pids_of(with.host).contains(forked.pid));
    CHECK(forked.context->call("serial", "") == Answer{0, "1"});
    CHECK(Context(with.host, "probe").call("twice", "") == Answer{0, "first"});
    await_zygote(with.host, with.zygote);
    CHECK(forked.context->close() == BERTH_RET_OK);
    CHECK(gone_soon(forked.pid)); // not used again
}

TEST_CASE_FIXTURE(LeakChecked, "a zygote that is killed takes no worker with it, and is made again") {
    Zygoted with;
    Fresh forked(with.host, "probe");
    ::kill(with.zygote, SIGKILL);
    CHECK(with.service.logs("zygote " + std::to_string(with.zygote) + " (probe) ended"));
    CHECK(forked.context->call("twice", "") == Answer{0, "first"});
    Fresh after(with.host, "probe");
    CHECK(after.context->call("twice", "") == Answer{0, "first"});
    pid_t next = await_zygote(with.host, with.zygote);
    Fresh last(with.host, "probe");
    CHECK(is_forked(last.pid));
    CHECK(::kill(next, 0) == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "a zygote that is stopped is killed after its bound, and the open gets a spawned worker") {
    Zygoted with;
    ::kill(with.zygote, SIGSTOP);
    Fresh spawned(with.host, "probe");
    CHECK_FALSE(is_forked(spawned.pid));
    CHECK(with.service.logs("a fork is not answered in 2000 ms"));
    CHECK(gone_soon(with.zygote));
    CHECK(spawned.context->call("twice", "") == Answer{0, "first"});
}

TEST_CASE_FIXTURE(LeakChecked, "a zygote that is killed with forks under way: the opens get spawned workers") {
    Zygoted with;
    ::kill(with.zygote, SIGSTOP);
    std::vector<std::unique_ptr<Context>> contexts(3);
    std::vector<std::thread> threads;
    for (auto &context : contexts)
        threads.emplace_back([&] { context = std::make_unique<Context>(with.host, "probe"); });
    CHECK(eventually([&] { return text_at(with.host.status().bytes, "/contexts/3/state") == "Opening"; }));
    ::kill(with.zygote, SIGKILL);
    for (auto &thread : threads)
        thread.join();
    for (auto &context : contexts)
        CHECK(context->call("twice", "") == Answer{0, "first"});
}

TEST_CASE_FIXTURE(LeakChecked, "a zygote ends when nothing needs it any more") {
    ProbeFolder probe("zygote = true\nidle_timeout_ms = 300\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    pid_t zygote = 0;
    {
        Context context(host, "probe");
        zygote = await_zygote(host);
        sleep_ms(500);
        CHECK(ready_zygote(host) == zygote); // a worker is there
    }
    CHECK(gone_soon(zygote));
    CHECK(eventually([&] { return zygotes(host) == 0; }));
    CHECK(Context(host, "probe").call("twice", "") == Answer{0, "first"});
}

TEST_CASE_FIXTURE(LeakChecked, "a manifest that changes ends the zygote; one of the new kind is made when it is wanted") {
    Zygoted with;
    auto rewrite = [&](const std::string &more) {
        write_file(with.probe.folder / "probe.toml",
                   "library = \"" + needed_variable("BERTH_TEST_MODULES") + "/libberth-probe.so\"\n" + more);
        with.service.send(SIGHUP);
    };
    rewrite("zygote = true\n[env]\nPROBE_WORD = \"new\"\n");
    CHECK(gone_soon(with.zygote));
    Context first(with.host, "probe");
    await_zygote(with.host, with.zygote);
    Fresh forked(with.host, "probe");
    CHECK(is_forked(forked.pid));
    CHECK(forked.context->call("environment", "PROBE_WORD") == Answer{0, "new"});
    rewrite("zygote = false\n[env]\nPROBE_WORD = \"new\"\n");
    CHECK(eventually([&] { return zygotes(with.host) == 0; }));
    CHECK(forked.context->call("environment", "PROBE_WORD") == Answer{0, "new"});
    CHECK_FALSE(is_forked(Fresh(with.host, "probe").pid));
}

TEST_CASE_FIXTURE(LeakChecked, "a library that starts threads when it is loaded: said once, and its workers are spawned") {
    Troubled trouble("thread");
    Service service({.modules = trouble.folder.path()});
    Host host(service.socket());
    Context first(host, "probe");
    CHECK(service.logs("threads once its library is loaded"));
    CHECK(eventually([&] { return zygotes(host) == 0; }));
    Fresh second(host, "probe"), third(host, "probe");
    CHECK_FALSE(is_forked(second.pid));
    CHECK_FALSE(is_forked(third.pid));
    CHECK(service.times_logged("threads once its library is loaded") == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "a zygote that lies is killed, what it forked in secret too, and the open gets its worker") {
    struct Lie {
        const char *how, *log;
    };
    for (Lie lie : {Lie{"itself", "cannot be a new worker"}, Lie{"supervisor", "is no child of this one"},
                    Lie{"own child", "is no child of this one"}, Lie{"sequence", "is not the fork that is due"},
                    Lie{"untold", "is given up"}, Lie{"ready again", "does not send ready"},
                    Lie{"bytes", "is given up"}}) {
        CAPTURE(lie.how);
        Troubled trouble(lie.how);
        Service service({.modules = trouble.folder.path()});
        Host host(service.socket());
        Context first(host, "probe");
        pid_t zygote = await_zygote(host);
        Fresh after(host, "probe");
        CHECK_FALSE(is_forked(after.pid));
        CHECK(after.context->call("twice", "") == Answer{0, "first"});
        CHECK_MESSAGE(service.logs(lie.log), service.log());
        CHECK(gone_soon(zygote));
        if (std::string(lie.how) == "untold" || std::string(lie.how) == "sequence")
            CHECK(service.logs("a child of the daemon that it has not asked for"));
    }
}

TEST_CASE_FIXTURE(LeakChecked, "with a private supervisor, and at its end, nothing of a zygote is left") {
    ProbeFolder probe("zygote = true\nspares = 2\n");
    Host host(Host::Private::FromFolder, probe.folder.path());
    Context first(host, "probe");
    await_zygote(host);
    CHECK(Context(host, "probe").call("twice", "") == Answer{0, "first"});
}
