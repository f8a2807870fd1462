// Names and texts in any encoding: one that is no UTF-8 costs the call in which it is, and never the connection.
#include <doctest/doctest.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

using namespace berth::test;

namespace {

const char *const kNoNames[] = {"caf\xe9", "\xff", "\xc3", "\xed\xa0\x80", "echo\x80"};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a module's name that is no UTF-8 is refused, and the connection goes on") {
    Host host;
    Context context(host);
    pid_t supervisor = host.supervisor();
    for (const char *name : kNoNames) {
        berth_context out;
        berth_reply reply;
        Record record;
        CHECK(open_answer(host, name).ret == BERTH_RET_INVALID_ARGUMENT);
        CHECK(berth_open_submit(host.handle(), name, nullptr, 0, nullptr, Record::callback, &record, &out) ==
              BERTH_RET_INVALID_ARGUMENT);
        CHECK(berth_call_static(host.handle(), name, "version", nullptr, 0, 1000, &reply) ==
              BERTH_RET_INVALID_ARGUMENT);
        berth_reply_free(&reply);
        CHECK(host.reset(name).ret == BERTH_RET_INVALID_ARGUMENT);
    }
    CHECK(open_answer(host, "caf\xc3\xa9").ret == BERTH_RET_NO_MODULE);
    CHECK(host.reset("caf\xc3\xa9").ret == BERTH_RET_NO_MODULE);
    CHECK(host.supervisor() == supervisor);
    CHECK(Context(host).call("echo", "on") == Answer{0, "on"});
    CHECK(context.call("echo", "on") == Answer{0, "on"});
}

TEST_CASE_FIXTURE(LeakChecked, "a library whose version and methods are named in Latin-1 serves, and is shown") {
    TempDir folder;
    write_file(folder / "latin.toml",
               "name = \"latin\"\nlibrary = \"" + needed_variable("BERTH_TEST_MODULES") + "/libberth-latin-1.so\"\n");
    Host host(Host::Private::FromFolder, folder.path());
    Context context(host, "latin");
    CHECK(context.call("serial", "") == Answer{0, "1"});
    CHECK(context.call("caf\xe9", "").ret == BERTH_RET_ERR); // there is one of that name, and it says no
    CHECK(context.call("say", "caf\xe9") == Answer{0, "said"});
    std::string status = json(host.status().bytes);
    CHECK_MESSAGE(status.find("1\\\\xe9") != std::string::npos, status);
    CHECK(context.call("serial", "") == Answer{0, "1"});
}
