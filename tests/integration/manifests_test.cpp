// Manifests and modules that cannot be: said by file, line and key, and no harm to the others.
#include <csignal>
#include <doctest/doctest.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

class Folder {
  public:
    Folder() { add("echo", "library = \"" + needed_variable("BERTH_ECHO_SO") + "\"\n"); }
    void add(const std::string &name, const std::string &text) { write_file(folder_ / (name + ".toml"), text); }
    void add_module(const std::string &name, const std::string &library) {
        add(name, "library = \"" + needed_variable("BERTH_TEST_MODULES") + "/libberth-" + library + ".so\"\n");
    }
    const std::string &path() const { return folder_.path(); }
    std::string operator/(const std::string &name) const { return folder_ / name; }

  private:
    TempDir folder_;
};

void check_served(const std::string &socket) {
    Host host(socket);
    CHECK(Context(host).call("echo", "served") == Answer{0, "served"});
}

// RET_ERR with the reason, and then the host goes on.
void check_refused(const Host &host, const std::string &module, const std::string &reason) {
    Answer answer = open_answer(host, module);
    CHECK(answer.ret == BERTH_RET_ERR);
    CHECK_MESSAGE(answer.bytes.find(reason) != std::string::npos, answer.bytes);
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "broken manifests are named by file, line and key, and the others are served") {
    Folder folder;
    folder.add("typo", "library = \"x.so\"\nsparse = 1\n");
    folder.add("syntax", "library = \"x.so\"\n\nspares = = 1\n");
    folder.add("kind", "spares = \"two\"\nlibrary = \"x.so\"\n");
    folder.add("none", "description = \"no library\"\n");
    Service service({.modules = folder.path()});
    CHECK(service.logs(folder / "typo.toml:2: key 'sparse'"));
    CHECK(service.logs(folder / "syntax.toml:3"));
    CHECK(service.logs(folder / "kind.toml:1: key 'spares'"));
    CHECK(service.logs(folder / "none.toml:1: key 'library'"));
    check_served(service.socket());
    Host host(service.socket());
    CHECK(json(host.status().bytes).find("typo.toml:2: key 'sparse'") != std::string::npos);
    CHECK(open_answer(host, "typo").ret != BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "SIGHUP reads the manifests again: a new module, and one that is gone") {
    Folder folder;
    Service service({.modules = folder.path()});
    Host host(service.socket());
    CHECK(open_answer(host, "probe").ret == BERTH_RET_NO_MODULE);
    folder.add_module("probe", "probe");
    service.send(SIGHUP);
    CHECK(service.logs("reading the manifests again"));
    CHECK(eventually([&] { return json(host.status().bytes).find("\"probe\"") != std::string::npos; }));
    CHECK(Context(host, "probe").call("environment", "PATH").ret == BERTH_RET_OK);
    std::remove((folder / "probe.toml").c_str());
    service.send(SIGHUP);
    CHECK(eventually([&] { return open_answer(host, "probe").ret == BERTH_RET_NO_MODULE; }));
    check_served(service.socket());
}

TEST_CASE_FIXTURE(LeakChecked, "a module that is not there is NO_MODULE") {
    Service service;
    Host host(service.socket());
    Answer answer = open_answer(host, "no-such-module");
    CHECK(answer.ret == BERTH_RET_NO_MODULE);
    CHECK_MESSAGE(answer.bytes.find("no-such-module") != std::string::npos, answer.bytes);
}

TEST_CASE_FIXTURE(LeakChecked, "a library that cannot be loaded is RET_ERR with the linker's reason") {
    Folder folder;
    folder.add("missing", "library = \"/no/such/lib.so\"\n");
    write_file(folder / "text.so", "this is no library, whatever its name says");
    folder.add("text", "library = \"text.so\"\n");
    folder.add_module("old", "wrong-abi");
    folder.add_module("entryless", "no-entry");
    Service service({.modules = folder.path()});
    Host host(service.socket());
    check_refused(host, "missing", "/no/such/lib.so: cannot open shared object file");
    check_refused(host, "text", "text.so");
    check_refused(host, "old", "4711");
    check_refused(host, "entryless", "berth_module");
    check_refused(host, "missing", "/no/such/lib.so");
    check_served(service.socket());
}

TEST_CASE_FIXTURE(LeakChecked, "a private supervisor takes its manifests from the folder it is given") {
    Folder folder;
    folder.add_module("probe", "probe");
    Host host(Host::Private::FromFolder, folder.path());
    CHECK(Context(host, "probe").call("environment", "PATH").ret == BERTH_RET_OK);
    CHECK(open_answer(host, "sqlite").ret == BERTH_RET_NO_MODULE);
}
