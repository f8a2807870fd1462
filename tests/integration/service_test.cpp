// A service: several hosts, hosts that die, sockets passed by systemd.
#include <csignal>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "cbor_text.h"
#include "control_peer.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "program.h"
#include "service.h"

using namespace berth::test;

namespace {

// A host in a process of its own, in the middle of calls: this program again, as support/killable_host.cpp.
pid_t start_host(const Service &service) {
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    std::string ready = std::to_string(pipe[1]);
    pid_t pid = ::fork();
    if (pid == 0) {
        ::execl("/proc/self/exe", "integration", "--host", service.socket().c_str(), ready.c_str(), nullptr);
        ::_exit(126);
    }
    char byte = 0;
    ::close(pipe[1]);
    CHECK(::read(pipe[0], &byte, 1) == 1);
    ::close(pipe[0]);
    return pid;
}

bool no_contexts(const Host &host) {
    return eventually([&] { return number_at(host.status().bytes, "/contexts/0/id") < 0; });
}

// Where the status has the worker with this pid: spares of other modules stand there too.
std::string worker_at(const std::string &status, int64_t pid) {
    for (int i = 0;; i++) {
        std::string at = "/workers/" + std::to_string(i);
        int64_t here = number_at(status, at + "/pid");
        if (here == pid || here < 0)
            return at;
    }
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "hosts killed in the middle of calls: their contexts end, the service serves on") {
    Service service;
    for (int round = 0; round < 5; round++) {
        pid_t pid = start_host(service);
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
    Host host(service.socket());
    CHECK(no_contexts(host));
    Context context(host);
    CHECK(context.call("echo", "served") == Answer{0, "served"});
    CHECK(eventually([&] { return host.workers().size() <= 3; }));
}

TEST_CASE_FIXTURE(LeakChecked, "two hosts share a service and not a context") {
    Service service;
    Host first(service.socket()), second(service.socket());
    Context one(first), two(second);
    CHECK(one.call("echo", "1") == Answer{0, "1"});
    CHECK(two.call("echo", "2") == Answer{0, "2"});
    CHECK(number_at(first.status().bytes, "/contexts/0/worker_pid") !=
          number_at(first.status().bytes, "/contexts/1/worker_pid"));
}

TEST_CASE_FIXTURE(LeakChecked, "the status names daemon, modules, workers and contexts") {
    Service service;
    Host host(service.socket());
    Context context(host);
    std::string status = host.status().bytes;
    int64_t worker = number_at(status, "/contexts/0/worker_pid");
    CHECK(number_at(status, "/daemon/pid") == service.pid());
    CHECK(text_at(status, "/modules/0/name") == "echo");
    CHECK(text_at(status, "/modules/1/name") == "sqlite");
    CHECK(number_at(status, worker_at(status, worker) + "/rss_bytes") > 0);
    CHECK(text_at(status, worker_at(status, worker) + "/module") == "echo");
    CHECK(number_at(status, "/contexts/0/host_pid") == ::getpid());
    CHECK(text_at(status, "/contexts/0/state") == "Active");
    CHECK(alive(static_cast<pid_t>(worker)));
}

TEST_CASE_FIXTURE(LeakChecked, "the status counts what a context has in flight, also behind a busy library") {
    Service service;
    Host host(service.socket());
    Context context(host);
    Record blocked, first, second;
    auto in_flight = [&] { return number_at(host.status().bytes, "/contexts/0/in_flight"); };
    CHECK(eventually([&] { return in_flight() == 0; })); // an answer is counted when it is out
    CHECK(context.submit("block", cbor("{\"ms\": 1500}"), Record::callback, &blocked) == BERTH_RET_OK);
    CHECK(context.submit("echo", "1", Record::callback, &first) == BERTH_RET_OK);
    CHECK(context.submit("echo", "2", Record::callback, &second) == BERTH_RET_OK);
    CHECK(in_flight() == 3);
    REQUIRE(eventually([&] { return second.answered(); }));
    CHECK(eventually([&] { return in_flight() == 0; }));
}

TEST_CASE_FIXTURE(LeakChecked, "a socket passed by systemd is served, and not removed") {
    Service service({.by_systemd = true});
    {
        Host host(service.socket());
        CHECK(Context(host).call("echo", "passed") == Answer{0, "passed"});
    }
    service.stop();
    CHECK(::access(service.socket().c_str(), F_OK) == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "no service where one is demanded is UNAVAILABLE") {
    TempDir folder;
    std::string nowhere = folder / "nowhere.sock";
    berth_options options{sizeof options, BERTH_NO_PRIVATE, nowhere.c_str(), nullptr, {}};
    berth_client client;
    CHECK(berth_connect(&options, &client) == BERTH_RET_UNAVAILABLE);
    CHECK(client.bits == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "a private supervisor that is demanded and forbidden at once is no argument") {
    berth_options options{};
    options.size = sizeof options;
    options.flags = BERTH_PRIVATE | BERTH_NO_PRIVATE;
    berth_client client;
    CHECK(berth_connect(&options, &client) == BERTH_RET_INVALID_ARGUMENT);
    CHECK(::fcntl(STDIN_FILENO, F_GETFD) >= 0);
}

TEST_CASE_FIXTURE(LeakChecked, "a second service on the same socket refuses to start") {
    Service service;
    pid_t pid = ::fork();
    if (pid == 0) {
        ::execl(::getenv("BERTH_DAEMON"), "berthd", "--socket", service.socket().c_str(), "--log-level", "off", nullptr);
        ::_exit(126);
    }
    int status = -1;
    CHECK(eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }));
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 1);
    Host host(service.socket());
    CHECK(Context(host).call("echo", "the first") == Answer{0, "the first"});
}

TEST_CASE_FIXTURE(LeakChecked, "a service that was killed leaves a socket that the next one takes over") {
    TempDir folder;
    Service service;
    std::string socket = service.socket();
    service.kill();
    CHECK(::access(socket.c_str(), F_OK) == 0);
    pid_t pid = ::fork();
    if (pid == 0) {
        ::execl(::getenv("BERTH_DAEMON"), "berthd", "--socket", socket.c_str(), "--log-level", "off", nullptr);
        ::_exit(126);
    }
    // Greeted: what the one that was killed has left of its socket may take connections for a moment.
    CHECK(eventually([&] {
        berth_options options{};
        options.size = sizeof options;
        options.flags = BERTH_NO_PRIVATE;
        options.socket_path = socket.c_str();
        berth_client client{0};
        return berth_connect(&options, &client) == BERTH_RET_OK && berth_disconnect(client) == BERTH_RET_OK;
    }));
    ::kill(pid, SIGTERM);
    int status = -1;
    CHECK(eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }));
    CHECK(status == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "berth says which socket it cannot connect to, and why") {
    TempDir folder;
    std::string berth = needed_variable("BERTH_CLI"), socket = folder / "nobody.sock";
    for (std::vector<std::string> argv : {std::vector<std::string>{berth, "status"}, {berth, "crashes"},
                                          {berth, "call", "echo", "echo"}}) {
        argv.insert(argv.begin() + 2, {"--socket", socket});
        Ran ran = run_program(argv);
        CAPTURE(argv[1]);
        CHECK(ran.status == 3);
        CHECK_MESSAGE(ran.err.find("UNAVAILABLE: cannot connect to " + socket + ": No such file or directory\n") !=
                          std::string::npos,
                      ran.err);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a service that is told to stop again and again ends as one that is told once") {
    Service service;
    Host host(service.socket());
    CHECK(Context(host).call("echo", "x") == Answer{BERTH_RET_OK, "x"});
    for (int i = 0; i < 20000 && alive(service.pid()); i++) {
        service.send(SIGTERM);
        ::usleep(50);
    }
    service.stop(); // looks at its status
}

TEST_CASE_FIXTURE(LeakChecked, "a context that comes back while the service still stops waits for the next service") {
    Service service;
    Host host(service.socket());
    Context busy(host); // which keeps the service stopping
    Context again(host, "echo", "", {.flags = BERTH_RESTART});
    REQUIRE(busy.submit("later", later_request(1200, "x"), nullptr, nullptr) == BERTH_RET_OK);
    std::thread reads([&] { reap_into_records(again.handle(), 3000); }); // hears of the end at once
    CHECK(eventually([&] { return number_at(host.status().bytes, "/contexts/0/in_flight") == 1; }));
    service.stop();
    reads.join();
    service.start_again();
    CHECK(eventually([&] { return again.call("echo", "back", 1000) == Answer{BERTH_RET_OK, "back"}; }));
}

TEST_CASE_FIXTURE(LeakChecked, "a service that is stopped in order says so, and a context that is to come back does") {
    Service service;
    Host host(service.socket());
    Context plain(host);
    Context again(host, "echo", "", {.flags = BERTH_RESTART});
    service.stop();
    Answer told = plain.call("echo", "x");
    CHECK(told.ret == BERTH_RET_RECYCLED);
    CHECK(told.bytes == "the service was stopped");
    service.start_again();
    CHECK(eventually([&] { return again.call("echo", "back", 1000) == Answer{BERTH_RET_OK, "back"}; }));
    CHECK(plain.call("echo", "x").ret == BERTH_RET_RECYCLED);
}
