// Workers, spares and zygotes are those of one user, group and set of groups: none is lent to a host with other ones.
#include <algorithm>
#include <doctest/doctest.h>
#include <memory>
#include <numeric>
#include <pwd.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

#include "berth/berth.h"
#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "peer_process.h"
#include "probe_folder.h"
#include "program.h"
#include "raw_host.h"
#include "service.h"

using namespace berth::test;

namespace {

constexpr uid_t kUid = 47114;
constexpr gid_t kGid = 47115, kOtherGid = 47116, kMoreGid = 47117;

const User kPlain{.uid = kUid, .gid = kGid, .groups = {{kGid}}};
const User kSetGid{.uid = kUid, .gid = kOtherGid, .groups = {{kGid}}};            // a set-gid program of that user
const User kMember{.uid = kUid, .gid = kGid, .groups = {{kMoreGid, kGid}}};       // of one group more
const User kOtherGroups{.uid = kUid, .gid = kGid, .groups = {{kOtherGid, kGid}}}; // of as many, but others

bool can_be_others() {
    bool can = ::geteuid() == 0 && run_program({"test", "-x", needed_variable("BERTH_WORKER")}, {}, kUid).status == 0 &&
               run_program({"test", "-r", needed_variable("BERTH_ECHO_SO")}, {}, kUid).status == 0;
    if (!can)
        MESSAGE("not root, or the build tree is closed to other users: not tested");
    return can;
}

// A process of that user with one context, until it ends.
class OneContext {
  public:
    OneContext(const std::string &socket, const User &user, const std::string &module)
        : process_(socket, user), host_(::dup(process_.peer().fd())) {
        host_.peer().speak_as(process_.pid(), *user.uid, *user.gid);
        worker_ = host_.open(module);
    }
    pid_t worker() const { return worker_; }
    RawHost &host() { return host_; }

  private:
    PeerProcess process_;
    RawHost host_;
    pid_t worker_;
};

std::string four(const char *name, unsigned id) {
    auto text = std::to_string(id);
    return std::string(name) + ":\t" + text + "\t" + text + "\t" + text + "\t" + text + "\n";
}

std::string ids_of(pid_t pid) {
    std::istringstream status(read_file("/proc/" + std::to_string(pid) + "/status"));
    std::string ids;
    for (std::string line; std::getline(status, line);)
        for (const char *key : {"Uid:", "Gid:", "Groups:", "CapEff:"})
            if (line.rfind(key, 0) == 0)
                ids += line + "\n";
    return ids;
}

// As ids_of has them of a process of that user.
std::string ids_of(const User &user) {
    auto groups = *user.groups;
    std::sort(groups.begin(), groups.end());
    std::string text = four("Uid", *user.uid) + four("Gid", *user.gid) + "Groups:\t";
    for (gid_t group : groups)
        text += std::to_string(group) + " ";
    return text + (groups.empty() ? " " : "") + "\nCapEff:\t0000000000000000\n";
}

// Those of a table of the status that are in this state.
std::vector<pid_t> in_state(const Host &host, const std::string &table, const std::string &state) {
    std::string status = host.status().bytes;
    std::vector<pid_t> pids;
    for (int i = 0;; i++) {
        std::string at = "/" + table + "/" + std::to_string(i);
        int64_t pid = number_at(status, at + "/pid");
        if (pid < 0)
            return pids;
        if (text_at(status, at + "/state") == state)
            pids.push_back(static_cast<pid_t>(pid));
    }
}

// One in that state with these ids; 0: none within the hang bound.
pid_t await(const Host &host, const std::string &table, const std::string &state, const User &user) {
    pid_t found = 0;
    eventually([&] {
        for (pid_t pid : in_state(host, table, state))
            if (ids_of(pid) == ids_of(user))
                found = pid;
        return found != 0;
    });
    return found;
}

bool idles(const Host &host, pid_t worker) {
    return eventually([&] {
        auto idle = in_state(host, "workers", "Idle");
        return std::find(idle.begin(), idle.end(), worker) != idle.end();
    });
}

bool all_idle(const Host &host, const std::vector<pid_t> &workers) {
    return std::all_of(workers.begin(), workers.end(), [&](pid_t worker) { return idles(host, worker); });
}

constexpr gid_t kMostIdle = 8; // identities of a user that may have idle processes

User user_with_group(gid_t i) { return {.uid = kUid, .gid = kGid, .groups = {{kGid, 50'000 + i}}}; }

bool is_forked(pid_t pid) {
    return read_file("/proc/" + std::to_string(pid) + "/cmdline").find(std::string("\0--zygote\0", 10)) !=
           std::string::npos;
}

struct OpenService : Service {
    explicit OpenService(const Options &options) : Service(options) { open_to_all(); }
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a worker has user, group and groups of its host, and serves no other host") {
    if (!can_be_others())
        return;
    EchoFolder echo;
    OpenService service({.modules = echo.folder.path()});
    Host watcher(service.socket());
    std::vector<pid_t> workers;
    for (const User &user : {kPlain, kSetGid, kMember, kOtherGroups}) {
        pid_t worker = OneContext(service.socket(), user, "echo").worker();
        CHECK(ids_of(worker) == ids_of(user));
        CHECK(std::find(workers.begin(), workers.end(), worker) == workers.end());
        REQUIRE(idles(watcher, worker)); // and could be had by the next
        workers.push_back(worker);
    }
    CHECK(OneContext(service.socket(), kPlain, "echo").worker() == workers[0]);
    CHECK(OneContext(service.socket(), kSetGid, "echo").worker() == workers[1]);
}

TEST_CASE_FIXTURE(LeakChecked, "a worker's HOME and USER are its user's, whoever started the supervisor") {
    if (!can_be_others())
        return;
    const passwd *entry = ::getpwuid(65534);
    std::string home = entry ? entry->pw_dir : "/", name = entry ? entry->pw_name : "not set";
    ProbeFolder probe;
    std::string before = ::getenv("HOME") ? ::getenv("HOME") : "";
    ::setenv("HOME", "/of/the/daemon", 1);
    OpenService service({.modules = probe.folder.path()});
    auto has = [&](uid_t uid, const char *variable) {
        OneContext context(service.socket(), {.uid = uid, .gid = kGid, .groups = {{}}}, "probe");
        return context.host().answer(context.host().request("environment", variable));
    };
    CHECK(has(65534, "HOME") == home);
    CHECK(has(65534, "USER") == name);
    CHECK(has(65534, "LOGNAME") == name);
    CHECK(has(kUid, "HOME") == "/"); // it has no entry
    CHECK(has(kUid, "USER").find("not set") != std::string::npos);
    ProbeFolder own("[env]\nHOME = \"/of/the/manifest\"\n");
    Host alone(Host::Private::FromFolder, own.folder.path());
    CHECK(Context(alone, "probe").call("environment", "HOME") == Answer{0, "/of/the/manifest"});
    Host plain(Host::Private::FromFolder, probe.folder.path());
    CHECK(Context(plain, "probe").call("environment", "HOME") == Answer{0, ::getpwuid(0)->pw_dir});
    ::setenv("HOME", before.c_str(), 1);
}

TEST_CASE_FIXTURE(LeakChecked, "the order of a host's groups makes no difference, and none at all is a set, too") {
    if (!can_be_others())
        return;
    EchoFolder echo;
    OpenService service({.modules = echo.folder.path()});
    Host watcher(service.socket());
    User none{.uid = kUid, .gid = kGid, .groups = {{}}};
    User turned{.uid = kUid, .gid = kGid, .groups = {{kGid, kMoreGid}}};
    pid_t first = OneContext(service.socket(), kMember, "echo").worker();
    REQUIRE(idles(watcher, first));
    CHECK(OneContext(service.socket(), turned, "echo").worker() == first);
    pid_t groupless = OneContext(service.socket(), none, "echo").worker();
    CHECK(groupless != first);
    CHECK(ids_of(groupless) == ids_of(none));
}

TEST_CASE_FIXTURE(LeakChecked, "a spare of a set-gid program is not for its user's plain programs") {
    if (!can_be_others())
        return;
    EchoFolder echo("spares = 1\n");
    OpenService service({.modules = echo.folder.path()});
    Host watcher(service.socket());
    OneContext privileged(service.socket(), kSetGid, "echo");
    pid_t spare = await(watcher, "workers", "Idle", kSetGid);
    REQUIRE(spare != 0);
    OneContext plain(service.socket(), kPlain, "echo");
    CHECK(plain.worker() != spare);
    CHECK(ids_of(plain.worker()) == ids_of(kPlain));
    CHECK(await(watcher, "workers", "Idle", kPlain) != 0); // it gets spares of its own
    CHECK(alive(spare));
    CHECK(OneContext(service.socket(), kSetGid, "echo").worker() == spare);
}

TEST_CASE_FIXTURE(LeakChecked, "a zygote of a set-gid program forks no workers for its user's plain programs") {
    if (!can_be_others())
        return;
    ProbeFolder probe("zygote = true\n");
    OpenService service({.modules = probe.folder.path()});
    Host watcher(service.socket());
    OneContext first(service.socket(), kSetGid, "probe");
    pid_t zygote = await(watcher, "zygotes", "Ready", kSetGid);
    REQUIRE(zygote != 0);
    OneContext second(service.socket(), kSetGid, "probe");
    CHECK(is_forked(second.worker()));
    CHECK(ids_of(second.worker()) == ids_of(kSetGid));
    for (const User &user : {kPlain, kMember}) {
        OneContext other(service.socket(), user, "probe");
        CHECK_FALSE(is_forked(other.worker()));
        CHECK(ids_of(other.worker()) == ids_of(user));
        CHECK(await(watcher, "zygotes", "Ready", user) != 0);
        OneContext forked(service.socket(), user, "probe");
        CHECK(is_forked(forked.worker()));
        CHECK(ids_of(forked.worker()) == ids_of(user));
    }
    CHECK(ids_of(zygote) == ids_of(kSetGid));
    CHECK(service.log().find("does not run as") == std::string::npos);
}

TEST_CASE_FIXTURE(LeakChecked, "of a user's identities the last ones keep idle workers, and no open is refused") {
    if (!can_be_others())
        return;
    EchoFolder echo;
    OpenService service({.modules = echo.folder.path()});
    Host watcher(service.socket());
    User other = user_with_group(0);
    other.uid = kUid + 1;
    std::vector<pid_t> workers = {OneContext(service.socket(), other, "echo").worker()};
    REQUIRE(idles(watcher, workers[0]));
    for (gid_t i = 0; i < kMostIdle + 2; i++) {
        workers.push_back(OneContext(service.socket(), user_with_group(i), "echo").worker());
        REQUIRE(idles(watcher, workers.back()));
    }
    CHECK(eventually([&] { return !alive(workers[1]) && !alive(workers[2]); }));
    workers.erase(workers.begin() + 1, workers.begin() + 3);
    CHECK(all_idle(watcher, workers)); // the other user's, too
    CHECK(service.times_logged("uid 47114 uses more than 8 identities") == 2);
    CHECK(service.logs("what idles for the one of long ago (uid 47114, gid 47115, groups 47115 50000) ends"));
    {
        std::vector<std::unique_ptr<OneContext>> contexts; // all at once, each with a worker
        for (gid_t i = 0; i < kMostIdle + 2; i++)
            contexts.push_back(std::make_unique<OneContext>(service.socket(), user_with_group(i), "echo"));
        for (const auto &context : contexts)
            CHECK(context->host().answer(context->host().request("echo", "on")) == "on");
    }
    CHECK(eventually([&] { return in_state(watcher, "workers", "Idle").size() == kMostIdle + 1; }));
    CHECK(alive(workers[0]));
}

TEST_CASE_FIXTURE(LeakChecked, "of a user's identities the last ones have spares and zygotes") {
    if (!can_be_others())
        return;
    ProbeFolder probe("zygote = true\nspares = 1\n");
    OpenService service({.modules = probe.folder.path()});
    Host watcher(service.socket());
    std::vector<std::unique_ptr<OneContext>> contexts;
    for (gid_t i = 0; i < kMostIdle + 2; i++)
        contexts.push_back(std::make_unique<OneContext>(service.socket(), user_with_group(i), "probe"));
    auto has = [&](size_t spares, size_t zygotes) {
        return in_state(watcher, "workers", "Idle").size() == spares + 1 && // the daemon's own
               in_state(watcher, "zygotes", "Ready").size() == zygotes + 1 &&
               in_state(watcher, "workers", "Spawning").empty() && in_state(watcher, "zygotes", "Starting").empty();
    };
    CHECK(eventually([&] { return has(kMostIdle, kMostIdle); }));
    size_t started = service.times_logged("ready in");
    sleep_ms(300);
    CHECK(has(kMostIdle, kMostIdle));
    CHECK(service.times_logged("ready in") == started); // none is started and ended in turns
    CHECK(await(watcher, "zygotes", "Ready", user_with_group(kMostIdle + 1)) != 0);
    OneContext again(service.socket(), user_with_group(0), "probe"); // until the end: its worker would idle, too
    CHECK_FALSE(is_forked(again.worker()));
    CHECK(await(watcher, "zygotes", "Ready", user_with_group(0)) != 0); // it is one of the last again
    CHECK(eventually([&] { return has(kMostIdle, kMostIdle); }));
    for (const auto &context : contexts)
        CHECK(alive(context->worker()));
}

TEST_CASE_FIXTURE(LeakChecked, "workers that outlive a killed berthd come back as what they were") {
    if (!can_be_others())
        return;
    EchoFolder echo;
    OpenService service({.modules = echo.folder.path()});
    std::vector<std::unique_ptr<OneContext>> contexts;
    for (const User &user : {kSetGid, kMember})
        contexts.push_back(std::make_unique<OneContext>(service.socket(), user, "echo"));
    service.kill();
    service.start_again();
    service.open_to_all();
    for (const auto &context : contexts) {
        CHECK_MESSAGE(service.logs("worker " + std::to_string(context->worker()) + " (echo) is back"), service.log());
        CHECK(context->host().answer(context->host().request("echo", "on")) == "on");
    }
    CHECK(ids_of(contexts[0]->worker()) == ids_of(kSetGid));
    CHECK(ids_of(contexts[1]->worker()) == ids_of(kMember));
    for (const User &user : {kPlain, kSetGid, kMember}) {
        OneContext fresh(service.socket(), user, "echo");
        CHECK(ids_of(fresh.worker()) == ids_of(user));
        for (const auto &context : contexts)
            CHECK(fresh.worker() != context->worker());
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a berthd without the right to be others serves whoever is as it is, and says so") {
    if (!can_be_others() || run_program({"test", "-x", needed_variable("BERTH_DAEMON")}, {}, kUid).status != 0)
        return;
    EchoFolder echo;
    REQUIRE(run_program({"chmod", "-R", "a+rX", echo.folder.path()}).status == 0);
    OpenService service({.modules = echo.folder.path(), .uid = kUid});
    User same{.uid = kUid, .gid = kUid, .groups = {{}}};
    {
        OneContext served(service.socket(), same, "echo");
        CHECK(ids_of(served.worker()) == ids_of(same));
    }
    User other_group{.uid = kUid, .gid = kGid, .groups = {{}}}, more{.uid = kUid, .gid = kUid, .groups = {{kGid}}};
    for (const User &user : {other_group, more, User{.uid = kUid + 1, .gid = kUid, .groups = {{}}}, User{}}) {
        PeerProcess process(service.socket(), user);
        RawHost host(::dup(process.peer().fd()));
        host.peer().speak_as(process.pid(), user.uid.value_or(0), user.gid.value_or(0));
        REQUIRE(host.ask_open("echo"));
        auto packet = host.peer().receive();
        auto message = packet.message();
        REQUIRE(message.type == BERTH_MSG_REFUSED);
        CHECK(message.fields[BERTH_KEY_RET].number == BERTH_RET_DENIED);
        const auto &field = message.fields[BERTH_KEY_TEXT];
        std::string text(reinterpret_cast<const char *>(field.data), field.len);
        CHECK_MESSAGE(text.find("it is uid 47114, gid 47114, no groups itself") != std::string::npos, text);
    }
    CHECK(service.log().find("ready in") == service.log().rfind("ready in")); // no worker was started for them
}

TEST_CASE_FIXTURE(LeakChecked, "a child that has its parent's connection gets nothing by it") {
    EchoFolder echo;
    Service service({.modules = echo.folder.path()});
    RawHost host(service.socket());
    auto refusal = [&](const std::function<bool()> &ask) {
        pid_t child = ::fork();
        if (child == 0)
            ::_exit(ask() ? 0 : 1);
        int status = -1;
        CHECK(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        auto packet = host.peer().receive();
        auto message = packet.message();
        REQUIRE(message.type == BERTH_MSG_REFUSED);
        CHECK(message.fields[BERTH_KEY_RET].number == BERTH_RET_DENIED);
        const auto &field = message.fields[BERTH_KEY_TEXT];
        std::string text(reinterpret_cast<const char *>(field.data), field.len);
        CHECK(text == "the host's rights have changed (pid " + std::to_string(::getpid()) + " connected, and pid " +
                          std::to_string(child) + " asks): it is to connect again");
    };
    refusal([&] { return host.ask_open("echo"); });
    for (auto type : {BERTH_MSG_STATUS, BERTH_MSG_CRASHES})
        refusal([&] {
            berth_control_message message;
            berth_control_init(&message, type);
            berth_control_set_uint(&message, BERTH_KEY_SEQ, 7);
            return host.peer().send(message);
        });
    CHECK(service.log().find("ready in") == std::string::npos); // no worker was started
    CHECK(host.open("echo") > 0);
}

TEST_CASE_FIXTURE(LeakChecked, "a host in more groups than are taken is told so, and dropped") {
    if (!can_be_others())
        return;
    EchoFolder echo;
    OpenService service({.modules = echo.folder.path()});
    std::vector<gid_t> groups(4097);
    std::iota(groups.begin(), groups.end(), 100'000);
    PeerProcess process(service.socket(), {.uid = kUid, .gid = kGid, .groups = groups});
    auto packet = process.peer().receive();
    auto message = packet.message();
    REQUIRE(message.type == BERTH_MSG_REFUSED);
    CHECK(message.fields[BERTH_KEY_RET].number == BERTH_RET_DENIED);
    CHECK(process.peer().cut_off());
    CHECK(service.logs("a connection was dropped: it is in 4097 supplementary groups, at most 4096 are taken"));
    groups.pop_back();
    OneContext most(service.socket(), {.uid = kUid, .gid = kGid, .groups = groups}, "echo");
    CHECK(ids_of(most.worker()) == ids_of(User{.uid = kUid, .gid = kGid, .groups = groups}));
}
