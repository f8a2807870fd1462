// Which sockets a client takes for a service's: those that it finds itself, and those that it is told of.
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <functional>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "berth/berth.h"
#include "cbor_text.h"
#include "false_supervisor.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "program.h"
#include "service.h"

using namespace berth::test;

namespace {

constexpr uid_t kUid = 47211, kOtherUid = 47212;
constexpr gid_t kGid = 47213;
const std::string kNull = "\xf6";

bool is_root() {
    if (::geteuid() != 0)
        MESSAGE("not root: not tested");
    return ::geteuid() == 0;
}

// Waits for a supervisor, 2 s at most.
int status_of(berth_client client) {
    berth_reply reply;
    int ret = berth_status(client, &reply);
    berth_reply_free(&reply);
    return ret;
}

// In this program, meanwhile.
class Variable {
  public:
    Variable(const char *name, const std::string &value) : name_(name) {
        if (const char *before = ::getenv(name))
            before_ = before;
        value.empty() ? ::unsetenv(name) : ::setenv(name, value.c_str(), 1);
    }
    ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
    Variable(const Variable &) = delete;

  private:
    const char *name_;
    std::optional<std::string> before_;
};

struct Connected {
    berth_client client{0};
    Answer answer;
};

Connected connect(uint32_t flags, const std::string &socket = "", uint32_t socket_owner = 0) {
    Connected connected;
    berth_reply why;
    berth_options options{};
    options.size = sizeof options;
    options.flags = flags;
    options.socket_path = socket.empty() ? nullptr : socket.c_str();
    options.socket_owner = socket_owner;
    options.why = &why;
    errno = 4711;
    CHECK(berth_connect(&options, &connected.client) == why.ret);
    CHECK(errno == 4711);
    connected.answer = {why.ret, {reinterpret_cast<const char *>(why.data), why.len}};
    berth_reply_free(&why);
    return connected;
}

Answer answer_of(uint32_t flags, const std::string &socket = "", uint32_t socket_owner = 0) {
    Connected connected = connect(flags, socket, socket_owner);
    if (connected.client.bits)
        CHECK(berth_disconnect(connected.client) == BERTH_RET_OK);
    return connected.answer;
}

// The folder above that of the socket, as a host is told of it, and a service in it that a search finds.
class Runtime {
  public:
    Runtime() : variable_("XDG_RUNTIME_DIR", folder_.path()), no_socket_("BERTH_SOCKET", "") {}
    std::string above() const { return folder_.path(); }
    std::string folder() const { return folder_ / "berth"; }
    std::string socket() const { return folder() + "/berthd.sock"; }
    // What is said where it is passed over for that.
    std::string passed_over(const std::string &cause) const { return "cannot trust " + socket() + ": " + cause + "; "; }

  private:
    TempDir folder_;
    Variable variable_, no_socket_;
};

bool other_service_runs() {
    bool runs = ::access("/run/berth/berthd.sock", F_OK) == 0;
    if (runs)
        MESSAGE("a service runs here, which the search would find: not tested");
    return runs;
}

void set(const std::string &path, mode_t mode, uid_t uid = 0, gid_t gid = 0) {
    REQUIRE(::geteuid() == 0);
    REQUIRE(::chown(path.c_str(), uid, gid) == 0);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
}

int bound(const std::string &path) {
    int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    return fd;
}

// A socket where nobody listens, of that owner.
std::string deserted(const std::string &path, uid_t owner) {
    ::close(bound(path));
    REQUIRE(::chown(path.c_str(), owner, owner) == 0);
    return path;
}

// Greets who connects meanwhile.
class Greeter {
  public:
    explicit Greeter(const std::string &path, uid_t uid = 0) : supervisor_(path, uid) {}
    int greet(const std::function<int()> &ask) {
        std::unique_ptr<ControlPeer> peer;
        std::thread greeting([&] { peer = supervisor_.accept_host(); });
        int result = ask();
        greeting.join();
        return result;
    }

  private:
    FalseSupervisor supervisor_;
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a service is found in a folder that it has made itself, whatever the umask") {
    Runtime runtime;
    mode_t before = ::umask(0);
    Service service({.socket = runtime.socket()});
    ::umask(before);
    struct stat made;
    REQUIRE(::stat(runtime.folder().c_str(), &made) == 0);
    CHECK((made.st_mode & 0777) == 0755);
    CHECK(answer_of(BERTH_NO_PRIVATE) == Answer{BERTH_RET_OK, kNull});
}

TEST_CASE_FIXTURE(LeakChecked, "a socket in a folder that others can write is passed over, and the next is tried") {
    if (!is_root() || other_service_runs())
        return;
    Runtime runtime;
    Service service({.socket = runtime.socket()});
    struct Case {
        mode_t mode;
        uid_t uid;
        std::string cause;
    };
    const std::string group = std::to_string(kGid), user = std::to_string(kUid);
    for (const Case &bad : {Case{0777, 0, "can be written by everybody"}, Case{0702, 0, "can be written by everybody"},
                            Case{0770, 0, "can be written by group " + group},
                            Case{02775, 0, "can be written by group " + group},
                            Case{0700, kUid, "belongs to user " + user}, Case{01777, kUid, "belongs to user " + user}})
        for (const std::string &folder : {runtime.folder(), runtime.above()}) {
            set(folder, bad.mode, bad.uid, kGid);
            const std::string name = folder == runtime.folder() ? "its folder" : folder;
            CHECK(answer_of(BERTH_NO_PRIVATE) ==
                  Answer{BERTH_RET_UNAVAILABLE,
                         runtime.passed_over(name + " " + bad.cause) +
                             "cannot connect to /run/berth/berthd.sock: No such file or directory"});
            set(folder, 0755);
        }
    set(runtime.folder(), 01777); // which keeps others from nothing here
    CHECK(answer_of(BERTH_NO_PRIVATE).bytes.find("its folder can be written by everybody; ") != std::string::npos);
    for (mode_t good : {0700, 0711, 0755, 01755}) {
        set(runtime.folder(), good);
        CHECK(answer_of(BERTH_NO_PRIVATE) == Answer{BERTH_RET_OK, kNull});
    }
    for (mode_t good : {0700, 01777, 01770}) {
        set(runtime.above(), good, 0, kGid);
        CHECK(answer_of(BERTH_NO_PRIVATE) == Answer{BERTH_RET_OK, kNull});
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a folder two above counts as well, and a symbolic link to it does not hide it") {
    if (!is_root() || other_service_runs())
        return;
    Runtime runtime;
    TempDir elsewhere;
    const std::string deep = elsewhere / "a/b", link = elsewhere / "link";
    std::filesystem::create_directories(deep);
    REQUIRE(::symlink(deep.c_str(), (runtime.above() + "/link").c_str()) == 0);
    Variable through_link("XDG_RUNTIME_DIR", runtime.above() + "/link");
    Service service({.socket = deep + "/berth/berthd.sock"});
    CHECK(answer_of(BERTH_NO_PRIVATE) == Answer{BERTH_RET_OK, kNull});
    set(elsewhere / "a", 0777);
    Answer answer = answer_of(BERTH_NO_PRIVATE);
    CHECK(answer.ret == BERTH_RET_UNAVAILABLE);
    CHECK_MESSAGE(answer.bytes.find("cannot trust " + runtime.above() + "/link/berth/berthd.sock: " + elsewhere.path() +
                                    "/a can be written by everybody; ") == 0,
                  answer.bytes);
}

TEST_CASE_FIXTURE(LeakChecked, "a path that leads elsewhere from moment to moment never leads to a folder of others") {
    if (other_service_runs())
        return;
    Runtime runtime;
    TempDir good, bad;
    Service service({.socket = good / "berth/berthd.sock"});
    std::filesystem::create_directory(bad / "berth");
    std::filesystem::permissions(bad / "berth", std::filesystem::perms(0777));
    int trap = bound(bad / "berth/berthd.sock");
    REQUIRE(::listen(trap, 16) == 0);
    const std::string link = runtime.above() + "/link", next = runtime.above() + "/next";
    Variable through_link("XDG_RUNTIME_DIR", link);
    REQUIRE(::symlink(good.path().c_str(), link.c_str()) == 0);
    std::atomic<bool> over{false};
    std::thread turning([&] {
        for (int turn = 0; !over; turn++)
            if (::symlink((turn % 2 ? good : bad).path().c_str(), next.c_str()) == 0)
                ::rename(next.c_str(), link.c_str());
    });
    int found = 0, passed_over = 0, trapped = 0;
    for (int i = 0; i < 20000 && (found < 200 || passed_over < 200) && !trapped; i++) {
        Answer answer = answer_of(BERTH_NO_PRIVATE);
        found += answer.ret == BERTH_RET_OK;
        passed_over += answer.bytes.find("its folder can be written by everybody") != std::string::npos;
        trapped += ::accept4(trap, nullptr, nullptr, SOCK_CLOEXEC) >= 0;
    }
    over = true;
    turning.join();
    ::close(trap);
    CHECK(trapped == 0);
    CHECK(found > 0);
    CHECK(passed_over > 0);
}

TEST_CASE_FIXTURE(LeakChecked, "a symbolic link in the place of the socket is passed over, wherever it leads") {
    if (other_service_runs())
        return;
    Runtime runtime;
    Service service;
    std::filesystem::create_directory(runtime.folder());
    std::filesystem::permissions(runtime.folder(), std::filesystem::perms(0755));
    REQUIRE(::symlink(service.socket().c_str(), runtime.socket().c_str()) == 0);
    Answer answer = answer_of(BERTH_NO_PRIVATE);
    CHECK(answer.ret == BERTH_RET_UNAVAILABLE);
    CHECK_MESSAGE(answer.bytes.find(runtime.passed_over("it is a symbolic link")) == 0, answer.bytes);
    CHECK(answer_of(BERTH_NO_PRIVATE, runtime.socket()) == Answer{BERTH_RET_OK, kNull}); // who names it means it
}

TEST_CASE_FIXTURE(LeakChecked, "where another user listens a socket is passed over, however safe its folder is") {
    if (!is_root() || other_service_runs())
        return;
    Runtime runtime;
    std::filesystem::create_directory(runtime.folder());
    set(runtime.above(), 0755);
    set(runtime.folder(), 0777); // while it binds
    FalseSupervisor other(runtime.socket(), kUid);
    set(runtime.folder(), 0755);
    set(runtime.socket(), 0666);
    Answer answer = answer_of(BERTH_NO_PRIVATE);
    CHECK(answer.ret == BERTH_RET_UNAVAILABLE);
    CHECK_MESSAGE(answer.bytes.find(runtime.passed_over("user 47211 listens there")) == 0, answer.bytes);
    auto peer = other.accept();
    REQUIRE(peer);
    auto packet = peer->receive();
    CHECK(packet.end);
    CHECK(packet.bytes.empty()); // it was told nothing
    CHECK(answer_of(BERTH_NO_PRIVATE, "", kUid) == answer); // nobody has named it
}

TEST_CASE_FIXTURE(LeakChecked, "a search that passes a socket over goes on to a private supervisor, silently") {
    if (!is_root() || other_service_runs())
        return;
    Runtime runtime;
    Service service({.socket = runtime.socket()});
    const std::string berth = needed_variable("BERTH_CLI");
    set(runtime.folder(), 0777);
    Connected connected = connect(0);
    CHECK(connected.answer == Answer{BERTH_RET_OK, kNull});
    berth_reply status;
    REQUIRE(berth_status(connected.client, &status) == BERTH_RET_OK);
    CHECK(number_at({reinterpret_cast<const char *>(status.data), status.len}, "/daemon/pid") != service.pid());
    berth_reply_free(&status);
    CHECK(berth_disconnect(connected.client) == BERTH_RET_OK);
    Ran ran = run_program({berth, "call", "--raw", "/dev/null", "echo", "echo"});
    CHECK(ran.status == 0);
    CHECK(ran.err == "");
    set(runtime.folder(), 0755);
    connected = connect(0);
    REQUIRE(berth_status(connected.client, &status) == BERTH_RET_OK);
    CHECK(number_at({reinterpret_cast<const char *>(status.data), status.len}, "/daemon/pid") == service.pid());
    berth_reply_free(&status);
    CHECK(berth_disconnect(connected.client) == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "where nothing was found the text says why of each address") {
    if (!is_root() || other_service_runs())
        return;
    Runtime runtime;
    Variable no_daemon("BERTH_DAEMON", runtime.above() + "/no-berthd");
    std::filesystem::create_directory(runtime.folder());
    deserted(runtime.socket(), 0);
    set(runtime.folder(), 0777);
    CHECK(answer_of(0) == Answer{BERTH_RET_UNAVAILABLE,
                                 runtime.passed_over("its folder can be written by everybody") +
                                     "cannot connect to /run/berth/berthd.sock: No such file or directory; " +
                                     "cannot start " + runtime.above() + "/no-berthd: No such file or directory"});
}

TEST_CASE_FIXTURE(LeakChecked, "a named socket of another owner is refused, unless the caller said whose it may be") {
    if (!is_root())
        return;
    Service service;
    set(service.socket(), 0666, kUid);
    Answer refused{BERTH_RET_UNAVAILABLE, "cannot trust " + service.socket() + ": it belongs to user 47211"};
    for (uint32_t flags : {BERTH_NO_PRIVATE, 0u}) {
        CHECK(answer_of(flags, service.socket()) == refused);
        CHECK(answer_of(flags, service.socket(), kOtherUid) == refused);
        CHECK(answer_of(flags, service.socket(), kUid) == Answer{BERTH_RET_OK, kNull});
    }
    {
        Variable by_environment("BERTH_SOCKET", service.socket());
        CHECK(answer_of(0) == refused);
        CHECK(answer_of(0, "", kUid) == Answer{BERTH_RET_OK, kNull});
    }
    set(service.socket(), 0666);
    CHECK(answer_of(BERTH_NO_PRIVATE, service.socket()) == Answer{BERTH_RET_OK, kNull});
}

TEST_CASE_FIXTURE(LeakChecked, "a named socket may stand in any folder, and be reached by a symbolic link") {
    if (!is_root())
        return;
    TempDir folder;
    Service service({.socket = folder / "berthd.sock"});
    set(folder.path(), 0777, kUid, kGid);
    CHECK(answer_of(BERTH_NO_PRIVATE, service.socket()) == Answer{BERTH_RET_OK, kNull});
    REQUIRE(::symlink(service.socket().c_str(), (folder / "link").c_str()) == 0);
    REQUIRE(::lchown((folder / "link").c_str(), kUid, kGid) == 0);
    CHECK(answer_of(BERTH_NO_PRIVATE, folder / "link") == Answer{BERTH_RET_OK, kNull});
}

TEST_CASE_FIXTURE(LeakChecked, "where another user listens at a named socket it is refused, whosever file it is") {
    if (!is_root())
        return;
    TempDir folder;
    set(folder.path(), 0777);
    const std::string path = folder / "sock";
    Greeter other(path, kUid);
    set(path, 0666);
    Answer refused{BERTH_RET_UNAVAILABLE, "cannot trust " + path + ": user 47211 listens there"};
    CHECK(answer_of(BERTH_NO_PRIVATE, path) == refused);
    CHECK(answer_of(0, path, kOtherUid) == refused);
}

TEST_CASE_FIXTURE(LeakChecked, "berth takes a socket of its own user's, and another's by --socket-owner alone") {
    const std::string berth = needed_variable("BERTH_CLI");
    if (!is_root() || run_program({"test", "-x", needed_variable("BERTH_DAEMON")}, {}, kUid).status != 0 ||
        run_program({"test", "-x", berth}, {}, kUid).status != 0) {
        MESSAGE("the build tree is closed to other users: not tested");
        return;
    }
    Service service({.uid = kUid});
    service.open_to_all();
    const std::vector<std::string> status = {berth, "status", "--socket", service.socket()};
    auto with_owner = [&](const std::string &owner) {
        auto argv = status;
        argv.insert(argv.end(), {"--socket-owner", owner});
        return argv;
    };
    CHECK(run_program(status, {}, kUid).status == 0);
    Ran refused = run_program(status);
    CHECK(refused.status == 3);
    CHECK_MESSAGE(refused.err.find("UNAVAILABLE: cannot trust " + service.socket() + ": it belongs to user 47211\n") !=
                      std::string::npos,
                  refused.err);
    CHECK(run_program(status, {}, kOtherUid).status == 3);
    CHECK(run_program(with_owner("47211"), {}, kOtherUid).status == 0);
    CHECK(run_program(with_owner("47211")).status == 0);
    CHECK(run_program(with_owner("root")).status == 3);
}

TEST_CASE_FIXTURE(LeakChecked, "a user's own service is found in the user's own folder, and not by others") {
    const std::string berth = needed_variable("BERTH_CLI");
    if (!is_root() || other_service_runs())
        return;
    if (run_program({"test", "-x", needed_variable("BERTH_DAEMON")}, {}, kUid).status != 0) {
        MESSAGE("the build tree is closed to other users: not tested");
        return;
    }
    Runtime runtime;
    set(runtime.above(), 0711, kUid, kUid);
    Service service({.uid = kUid, .socket = runtime.socket()});
    set(runtime.socket(), 0666, kUid, kUid);
    auto found_by = [&](uid_t uid) {
        Ran ran = run_program({berth, "status"}, {}, uid);
        CHECK_MESSAGE(ran.status == 0, ran.err);
        return ran.out.find(runtime.socket()) != std::string::npos;
    };
    CHECK(found_by(kUid));
    CHECK(!found_by(0));
    CHECK(!found_by(kOtherUid));
}

TEST_CASE_FIXTURE(LeakChecked, "a service that comes back where others can write by now is not gone back to") {
    if (!is_root() || other_service_runs())
        return;
    Runtime runtime;
    Service service({.socket = runtime.socket()});
    Connected connected = connect(BERTH_NO_PRIVATE);
    REQUIRE(connected.answer == Answer{BERTH_RET_OK, kNull});
    service.kill();
    CHECK(status_of(connected.client) == BERTH_RET_UNAVAILABLE);
    set(runtime.folder(), 0777);
    service.start_again();
    CHECK(status_of(connected.client) == BERTH_RET_UNAVAILABLE);
    set(runtime.folder(), 0755);
    CHECK(eventually([&] { return status_of(connected.client) == BERTH_RET_OK; }));
    CHECK(berth_disconnect(connected.client) == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "a service that comes back at a named socket of another owner is not gone back to") {
    if (!is_root())
        return;
    Service service;
    TempDir folder;
    Connected connected = connect(BERTH_NO_PRIVATE, service.socket());
    REQUIRE(connected.answer == Answer{BERTH_RET_OK, kNull});
    service.kill();
    CHECK(status_of(connected.client) == BERTH_RET_UNAVAILABLE);
    // Made elsewhere, so that it is never there as root's.
    Service next({.socket = folder / "berthd.sock"});
    set(next.socket(), 0666, kUid);
    std::filesystem::rename(next.socket(), service.socket());
    CHECK(status_of(connected.client) == BERTH_RET_UNAVAILABLE);
    set(service.socket(), 0666);
    CHECK(eventually([&] { return status_of(connected.client) == BERTH_RET_OK; }));
    CHECK(berth_disconnect(connected.client) == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "without a /proc the same holds, and a path with a symbolic link cannot be trusted") {
    if (!is_root())
        return;
    TempDir root;
    if (in_a_fork([&] { return ::chroot(root.path().c_str()); }) != 0) {
        MESSAGE("chroot is not allowed here: not tested");
        return;
    }
    set(root.path(), 0755);
    std::filesystem::create_directories(root / "user/berth");
    REQUIRE(::symlink("user", (root / "link").c_str()) == 0);
    Greeter greeter(root / "user/berth/berthd.sock");
    auto inside = [&](const std::string &runtime, const std::string &socket, const Answer &expected) {
        return in_a_fork([&] {
            if (::chroot(root.path().c_str()) != 0 || ::chdir("/") != 0)
                return 3;
            Variable variable("XDG_RUNTIME_DIR", runtime), no_socket("BERTH_SOCKET", "");
            Connected connected = connect(BERTH_NO_PRIVATE, socket);
            return connected.answer == expected ? 0 : connected.answer.ret == expected.ret ? 2 : 1;
        });
    };
    const Answer ok{BERTH_RET_OK, kNull};
    const std::string next = "; cannot connect to /run/berth/berthd.sock: No such file or directory";
#if !defined(__SANITIZE_THREAD__) // a forked child of several threads may start none there
    CHECK(greeter.greet([&] { return inside("/user", "", ok); }) == 0);
    CHECK(greeter.greet([&] { return inside("", "/link/berth/berthd.sock", ok); }) == 0);
#endif
    CHECK(inside("/link", "",
                 {BERTH_RET_UNAVAILABLE,
                  "cannot trust /link/berth/berthd.sock: there is a symbolic link in its path, and no /proc by which "
                  "to pass it" +
                      next}) == 0);
    set(root / "user/berth", 0777);
    CHECK(inside("/user", "",
                 {BERTH_RET_UNAVAILABLE,
                  "cannot trust /user/berth/berthd.sock: its folder can be written by everybody" + next}) == 0);
    set(root / "user/berth", 0755);
    set(root / "user", 0777);
    CHECK(inside("/user", "",
                 {BERTH_RET_UNAVAILABLE,
                  "cannot trust /user/berth/berthd.sock: a folder above it can be written by everybody" + next}) == 0);
    set(root / "user/berth/berthd.sock", 0666, kUid);
    CHECK(inside("", "/user/berth/berthd.sock",
                 {BERTH_RET_UNAVAILABLE, "cannot trust /user/berth/berthd.sock: it belongs to user 47211"}) == 0);
}
