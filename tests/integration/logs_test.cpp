// What a library writes lands in the supervisor's log; what it answers wrongly harms nobody.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "probe_folder.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

// This process's stdout, for as long as it lives, goes to a file.
class CapturedStdout {
  public:
    CapturedStdout() : old_(::dup(1)) {
        int file = ::open((folder_ / "out").c_str(), O_RDWR | O_CREAT, 0600);
        ::dup2(file, 1);
        ::close(file);
    }
    ~CapturedStdout() { end(); }
    std::string end() {
        if (old_ >= 0) {
            ::dup2(old_, 1);
            ::close(old_);
        }
        old_ = -1;
        return read_file(folder_ / "out");
    }

  private:
    TempDir folder_;
    int old_;
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a library's stdout, stderr and log go to the supervisor's log, with their origin") {
    ProbeFolder probe;
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    Context context(host, "probe");
    std::string status = host.status().bytes;
    std::string origin = "[probe/" + std::to_string(number_at(status, "/contexts/0/id")) + "/" +
                         std::to_string(number_at(status, "/contexts/0/worker_pid")) + "] ";
    CapturedStdout out;
    CHECK(context.call("say", "hear me") == Answer{0, "said"});
    CHECK(service.logs(origin + "on stdout: hear me"));
    CHECK(service.logs(origin + "on stderr: hear me"));
    CHECK(service.logs("by the log function"));
    CHECK(out.end() == "");
}

TEST_CASE_FIXTURE(LeakChecked, "with a private supervisor nothing of a library reaches the host's stdout") {
    ProbeFolder probe;
    CapturedStdout out;
    {
        Host host(Host::Private::FromFolder, probe.folder.path());
        CHECK(Context(host, "probe").call("say", "quietly") == Answer{0, "said"});
    }
    CHECK(out.end() == "");
}

TEST_CASE_FIXTURE(LeakChecked, "a manifest's environment reaches the library") {
    ProbeFolder probe("[env]\nPROBE_WORD = \"from the manifest\"\n");
    Host host(Host::Private::FromFolder, probe.folder.path());
    CHECK(Context(host, "probe").call("environment", "PROBE_WORD") == Answer{0, "from the manifest"});
}

TEST_CASE_FIXTURE(LeakChecked, "a reply over 16 MiB is TOO_LARGE, an empty error has a text, a second answer is dropped") {
    ProbeFolder probe;
    Host host(Host::Private::FromFolder, probe.folder.path());
    Context context(host, "probe");
    CHECK(context.call("big", "").ret == BERTH_RET_TOO_LARGE);
    CHECK(context.call("fail_empty", "") == Answer{1, "unknown error"});
    for (int i = 0; i < 20; i++)
        CHECK(context.call("twice", "") == Answer{0, "first"});
}

TEST_CASE_FIXTURE(LeakChecked, "a library that never answers: the close is bounded and answers for it") {
    ProbeFolder probe("drain_timeout_ms = 300\n");
    Host host(Host::Private::FromFolder, probe.folder.path());
    Context context(host, "probe");
    Record mute, closed;
    REQUIRE(context.submit("mute", "", Record::callback, &mute) == 0);
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == 0);
    CHECK(eventually([&] { return mute.answered() && closed.answered(); }));
    CHECK(mute.terminal == 1);
    CHECK(mute.ret == BERTH_RET_RECYCLED);
    CHECK(number_at(closed.bytes, "/cut_off") == 1);
    context.forget();
    CHECK(Context(host, "probe").call("twice", "") == Answer{0, "first"});
}
