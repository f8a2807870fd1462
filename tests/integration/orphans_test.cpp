// What a dead host leaves is recycled at once, and nothing outlives both its host and its supervisor by more than five
// seconds, whatever the library does. The manifests here give the library an hour: only that promise ends it.
#include <chrono>
#include <csignal>
#include <doctest/doctest.h>

#include "cbor_text.h"
#include "host.h"
#include "host_process.h"
#include "leak_check.h"
#include "manifests.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

using Clock = std::chrono::steady_clock;

int64_t ms_since(Clock::time_point start) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

const std::string kHour = "drain_timeout_ms = 3600000\nteardown_timeout_ms = 3600000\n";

enum class First { Host, Supervisor };

void check_orphan_ends(const std::string &module, const std::string &method, First first) {
    CAPTURE(module);
    CAPTURE(method);
    Manifests manifests;
    manifests.add_echo(kHour);
    manifests.add_test_module("stubborn", kHour);
    Service service({.modules = manifests.path(), .by_systemd = false});
    HostProcess host(service.socket(), module, method);
    auto workers = own_processes("berth-worker");
    REQUIRE(workers.size() == 1);
    if (first == First::Host)
        host.kill();
    service.kill();
    host.kill();
    auto start = Clock::now();
    CHECK(gone_soon(workers[0]));
    MESSAGE(module << "/" << method << std::string(first == First::Host ? ", host first" : ", supervisor first") << ": "
                   << ms_since(start) << " ms after both were dead");
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "an orphan ends, with calls in flight, a busy handler, one that is wedged, a wedged destroy") {
    for (First first : {First::Host, First::Supervisor}) {
        check_orphan_ends("echo", "later", first);
        check_orphan_ends("echo", "block", first);
        check_orphan_ends("stubborn", "hold", first);
        check_orphan_ends("stubborn", "echo", first);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a worker whose module never loads ends with its supervisor") {
    Manifests manifests;
    manifests.add_test_module("never-loads", "spares = 1\n");
    Service service({.modules = manifests.path(), .by_systemd = false});
    REQUIRE(eventually([] { return own_processes("berth-worker").size() == 1; }));
    auto worker = own_processes("berth-worker")[0];
    service.kill();
    CHECK(gone_soon(worker));
}

TEST_CASE_FIXTURE(LeakChecked, "idle workers end with their supervisor") {
    Service service;
    REQUIRE(eventually([] { return own_processes("berth-worker").size() == 2; }));
    auto workers = own_processes("berth-worker");
    service.kill();
    for (pid_t worker : workers)
        CHECK(gone_soon(worker));
}

TEST_CASE_FIXTURE(LeakChecked, "a host killed with a live supervisor: its contexts are recycled, and in what time") {
    Service service;
    Host watcher(service.socket());
    int64_t worst = 0;
    for (int round = 0; round < 10; round++) {
        HostProcess host(service.socket(), "echo", round % 2 ? "block" : "later");
        int64_t worker = number_at(watcher.status().bytes, "/contexts/0/worker_pid");
        REQUIRE(worker > 0);
        auto start = Clock::now();
        host.kill();
        REQUIRE(eventually([&] { return number_at(watcher.status().bytes, "/contexts/0/id") < 0; }));
        worst = std::max(worst, ms_since(start));
        CHECK(alive(static_cast<pid_t>(worker))); // recycled, not killed
    }
    MESSAGE("at most " << worst << " ms from SIGKILL to the end of the context, seen by a status every 10 ms");
}
