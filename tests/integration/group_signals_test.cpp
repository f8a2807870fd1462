// What a service manager or a terminal tells a whole group of processes is the host's to act on.
#include <csignal>
#include <doctest/doctest.h>

#include "host.h"
#include "leak_check.h"
#include "probe_folder.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

constexpr int kToAll[] = {SIGTERM, SIGINT, SIGHUP};

// Only to one process: what is not there has the pid -1, which kill(2) takes for everybody.
void tell(pid_t pid, int signal) {
    REQUIRE(pid > 1);
    ::kill(pid, signal);
}

// The bit of a signal in the line that `grep` finds in a status file.
bool has_signal(const std::string &line, int signal) {
    size_t at = line.find_first_of("0123456789abcdef", line.find(':'));
    return std::stoull(line.substr(at), nullptr, 16) >> (signal - 1) & 1;
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a private supervisor and its workers outlive what ends a group") {
    Host host;
    pid_t supervisor = host.supervisor();
    {
        Context context(host);
        pid_t worker = host.worker();
        for (int signal : kToAll) {
            tell(supervisor, signal);
            tell(worker, signal);
            for (int i = 0; i < 20; i++)
                CHECK(context.call("echo", "on") == Answer{0, "on"});
            Context another(host); // the supervisor serves on
            CHECK(another.call("echo", "on") == Answer{0, "on"});
        }
        CHECK(host.worker() == worker);
    }
    CHECK(host.supervisor() == supervisor);
}

TEST_CASE_FIXTURE(LeakChecked, "SIGKILL ends a private supervisor, and its contexts go on") {
    Host host;
    Context context(host);
    pid_t supervisor = host.supervisor();
    tell(supervisor, SIGKILL);
    CHECK(gone_soon(supervisor));
    CHECK(context.call("echo", "on") == Answer{0, "on"});
}

TEST_CASE_FIXTURE(LeakChecked, "a service's worker outlives what ends a group; the service stops in order") {
    Service service;
    Host host(service.socket());
    Context context(host);
    pid_t worker = host.worker();
    for (int signal : kToAll) {
        tell(worker, signal);
        CHECK(context.call("echo", "on") == Answer{0, "on"});
    }
    CHECK(host.worker() == worker);
    tell(worker, SIGTERM);
    service.stop();
    CHECK(gone_soon(worker));
}

TEST_CASE_FIXTURE(LeakChecked, "a forked worker outlives what ends a group, and so does its zygote") {
    EchoFolder folder("zygote = true\n");
    Host host(Host::Private::FromFolder, folder.folder.path());
    {
        Context context(host);
    }
    REQUIRE(eventually([] { return own_processes("berth-zygote").size() == 1; }));
    pid_t zygote = own_processes("berth-zygote")[0];
    for (int signal : kToAll)
        tell(zygote, signal);
    Context context(host);
    for (int signal : kToAll) {
        tell(host.worker(), signal);
        CHECK(context.call("echo", "on") == Answer{0, "on"});
    }
    CHECK(alive(zygote));
}

TEST_CASE_FIXTURE(LeakChecked, "a library's own handler runs, and the programs that it starts have none of ours") {
    ProbeFolder folder;
    Host host(Host::Private::FromFolder, folder.folder.path());
    Context context(host, "probe");
    for (int signal : kToAll) {
        std::string ignored = context.call("ignored", "").bytes;
        CHECK_MESSAGE(!has_signal(ignored, signal), ignored);
    }
    CHECK_FALSE(has_signal(context.call("ignored", "").bytes, SIGPIPE)); // `yes | head` is to end
    REQUIRE(context.call("catch", "") == Answer{0, "0"});
    tell(host.worker(), SIGTERM);
    CHECK(eventually([&] { return context.call("caught", "") == Answer{0, "1"}; }));
}
