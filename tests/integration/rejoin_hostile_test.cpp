// Who comes back and should not: wrong tokens, wrong users, workers that are none.
#include <csignal>
#include <doctest/doctest.h>
#include <filesystem>
#include <memory>
#include <sys/syscall.h>
#include <unistd.h>

#include "berth/berth.h"
#include "control_peer.h"
#include "host.h"
#include "host_process.h"
#include "leak_check.h"
#include "peer_process.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

constexpr uint64_t kFormerId = 4711;
const std::string kToken = "0123456789abcdef";
const std::string kWrongToken = "0123456789abcdeF";

berth_control_message message_of(uint32_t type) {
    berth_control_message message;
    berth_control_init(&message, type);
    return message;
}

void set_text(berth_control_message &message, uint32_t key, const std::string &text) {
    berth_control_set_text(&message, key, text.data(), text.size()); // the caller keeps the text
}

bool claim(ControlPeer &peer, uint64_t seq, const std::string &token, uint64_t id = kFormerId) {
    auto rejoin = message_of(BERTH_MSG_REJOIN);
    berth_control_set_uint(&rejoin, BERTH_KEY_SEQ, seq);
    berth_control_set_uint(&rejoin, BERTH_KEY_CONTEXT, id);
    berth_control_set_bytes(&rejoin, BERTH_KEY_TOKEN, token.data(), token.size());
    return peer.send(rejoin);
}

struct WorkerSays {
    uint64_t pid = 0;
    std::string token = kToken;
    std::string module = "echo", version = "1";
    uint64_t bound_ms = 0;
};

bool come_back(ControlPeer &peer, const WorkerSays &says, int host_pidfd) {
    auto message = message_of(BERTH_MSG_REJOIN_WORKER);
    berth_control_set_uint(&message, BERTH_KEY_CONTEXT, kFormerId);
    berth_control_set_bytes(&message, BERTH_KEY_TOKEN, says.token.data(), says.token.size());
    berth_control_set_uint(&message, BERTH_KEY_GENERATION, 1);
    berth_control_set_uint(&message, BERTH_KEY_PID, says.pid);
    set_text(message, BERTH_KEY_MODULE, says.module);
    set_text(message, BERTH_KEY_MODULE_VERSION, says.version);
    berth_control_set_bytes(&message, BERTH_KEY_METHODS, "", 0);
    berth_control_set_uint(&message, BERTH_KEY_DRAIN_MS, says.bound_ms);
    berth_control_set_uint(&message, BERTH_KEY_TEARDOWN_MS, says.bound_ms);
    berth_control_set_uint(&message, BERTH_KEY_PHASE, 0);
    return peer.send(message, {host_pidfd});
}

// The type of the next message; for `refused` the code in *ret.
uint32_t next(ControlPeer &peer, uint64_t *ret = nullptr) {
    auto packet = peer.receive();
    auto message = packet.message();
    for (int fd : packet.fds)
        ::close(fd);
    if (ret)
        *ret = message.fields[BERTH_KEY_RET].number;
    return message.type;
}

uint64_t refusal(ControlPeer &peer) {
    uint64_t ret = 0;
    CHECK(next(peer, &ret) == BERTH_MSG_REFUSED);
    return ret;
}

// A worker in a child process, taken in by the service, whose host is `host_pidfd`'s process.
class FalseWorker {
  public:
    FalseWorker(const Service &service, int host_pidfd, uint64_t bound_ms = 60'000) : process_(service.socket()) {
        WorkerSays says;
        says.pid = static_cast<uint64_t>(process_.pid());
        says.bound_ms = bound_ms;
        CHECK(come_back(process_.peer(), says, host_pidfd));
        CHECK(next(process_.peer()) == BERTH_MSG_ADOPTED);
    }
    PeerProcess &process() { return process_; }
    ControlPeer &peer() { return process_.peer(); }

  private:
    PeerProcess process_;
};

class OwnPidfd {
  public:
    OwnPidfd() : fd_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))) {}
    ~OwnPidfd() { ::close(fd_); }
    int get() const { return fd_; }

  private:
    int fd_;
};

void check_serves(const Service &service) {
    Host host(service.socket());
    CHECK(Context(host).call("echo", "serves") == Answer{0, "serves"});
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a context is given back for its token once, and for no other token") {
    Service service;
    OwnPidfd own;
    FalseWorker worker(service, own.get());
    ControlPeer host(service.socket()), other(service.socket());
    REQUIRE(host.greet());
    REQUIRE(other.greet());
    CHECK(claim(other, 1, kWrongToken));
    CHECK(refusal(other) == BERTH_RET_DENIED);
    CHECK(service.logs("claims context 4711 and does not have it"));
    CHECK(claim(other, 2, kWrongToken, 1)); // of a context that nobody knows: its worker could still come
    CHECK(refusal(other) == BERTH_RET_UNAVAILABLE);
    CHECK(claim(host, 1, kToken));
    CHECK(next(host) == BERTH_MSG_REJOINED);
    CHECK(claim(host, 2, kToken));
    CHECK(refusal(host) == BERTH_RET_DENIED);
    CHECK(claim(other, 3, kToken));
    CHECK(refusal(other) == BERTH_RET_DENIED);
    CHECK(service.log().find(kToken) == std::string::npos);
    CHECK(service.log().find(kWrongToken) == std::string::npos);
    check_serves(service);
}

TEST_CASE_FIXTURE(LeakChecked, "a claim that comes before its worker waits for it") {
    Service service;
    OwnPidfd own;
    ControlPeer host(service.socket());
    REQUIRE(host.greet());
    CHECK(claim(host, 1, kToken));
    CHECK(claim(host, 2, kToken)); // a second one for the same
    CHECK(refusal(host) == BERTH_RET_DENIED);
    FalseWorker worker(service, own.get());
    CHECK(next(host) == BERTH_MSG_REJOINED);
}

TEST_CASE_FIXTURE(LeakChecked, "the right token does not help another process, nor another user") {
    Service service;
    OwnPidfd own;
    {
        FalseWorker worker(service, own.get());
        PeerProcess thief(service.socket());
        REQUIRE(thief.peer().greet());
        CHECK(claim(thief.peer(), 1, kToken));
        CHECK(refusal(thief.peer()) == BERTH_RET_DENIED);
    }
    if (::geteuid() == 0) { // the very process, but under another uid than the worker's
        std::filesystem::permissions(std::filesystem::path(service.socket()).parent_path(),
                                     std::filesystem::perms(0711));
        PeerProcess foreign(service.socket(), {.uid = 65534});
        FalseWorker worker(service, foreign.pidfd());
        REQUIRE(foreign.peer().greet());
        CHECK(claim(foreign.peer(), 1, kToken));
        CHECK(refusal(foreign.peer()) == BERTH_RET_DENIED);
        CHECK(service.logs("(uid 65534) claims context 4711 and does not have it"));
        // Both of the other user: theirs.
        PeerProcess theirs(service.socket(), {.uid = 65534});
        WorkerSays says{static_cast<uint64_t>(theirs.pid()), kWrongToken};
        CHECK(come_back(theirs.peer(), says, foreign.pidfd()));
        CHECK(next(theirs.peer()) == BERTH_MSG_ADOPTED);
        CHECK(claim(foreign.peer(), 2, kWrongToken));
        CHECK(next(foreign.peer()) == BERTH_MSG_REJOINED);
    }
    check_serves(service);
}

TEST_CASE_FIXTURE(LeakChecked, "the right token does not help the same user with another group or other groups") {
    if (::geteuid() != 0) {
        MESSAGE("not root: not tested");
        return;
    }
    Service service;
    service.open_to_all();
    for (const User &user : {User{.uid = 4711, .gid = 4713, .groups = {{4712}}},
                             User{.uid = 4711, .gid = 4712, .groups = {{4712, 4713}}},
                             User{.uid = 4711, .gid = 4712, .groups = {{}}}}) {
        User workers{.uid = 4711, .gid = 4712, .groups = {{4712}}};
        PeerProcess host(service.socket(), user), worker(service.socket(), workers);
        CHECK(come_back(worker.peer(), {static_cast<uint64_t>(worker.pid())}, host.pidfd()));
        CHECK(next(worker.peer()) == BERTH_MSG_ADOPTED);
        REQUIRE(host.peer().greet());
        CHECK(claim(host.peer(), 1, kToken));
        CHECK(refusal(host.peer()) == BERTH_RET_DENIED);
    }
    // Both alike, in all three.
    User user{.uid = 4711, .gid = 4712, .groups = {{4714, 4713}}};
    PeerProcess host(service.socket(), user), worker(service.socket(), user);
    CHECK(come_back(worker.peer(), {static_cast<uint64_t>(worker.pid()), kWrongToken}, host.pidfd()));
    CHECK(next(worker.peer()) == BERTH_MSG_ADOPTED);
    REQUIRE(host.peer().greet());
    CHECK(claim(host.peer(), 1, kWrongToken));
    CHECK(next(host.peer()) == BERTH_MSG_REJOINED);
    check_serves(service);
}

TEST_CASE_FIXTURE(LeakChecked, "what cannot be a worker is turned away with a logged reason") {
    Service service;
    OwnPidfd own;
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    auto turned_away = [&](const WorkerSays &given, int pidfd, const std::string &reason) {
        CAPTURE(reason);
        PeerProcess process(service.socket());
        WorkerSays says = given;
        if (says.pid == 0)
            says.pid = static_cast<uint64_t>(process.pid());
        CHECK(come_back(process.peer(), says, pidfd));
        CHECK(process.peer().cut_off());
        CHECK(service.logs(reason));
    };
    turned_away({.pid = 1}, own.get(), "it calls itself 1");
    turned_away({.module = "\x1b[31m"}, own.get(), "its module's name cannot be");
    turned_away({.module = ""}, own.get(), "its module's name cannot be");
    turned_away({}, pipe[0], "it brings no pidfd of a living host");
    {
        PeerProcess dead(service.socket());
        dead.kill();
        turned_away({}, dead.pidfd(), "it brings no pidfd of a living host");
    }
    { // before hello, and without its descriptor
        ControlPeer peer(service.socket());
        CHECK(claim(peer, 1, kToken));
        CHECK(peer.cut_off());
        CHECK(service.logs("rejoin before hello"));
    }
    {
        ControlPeer peer(service.socket());
        CHECK(peer.send(std::string("\xa1\x00\x15", 3)));
        CHECK(peer.cut_off());
    }
    { // a host that turns into a worker
        ControlPeer peer(service.socket());
        REQUIRE(peer.greet());
        CHECK(come_back(peer, {.pid = static_cast<uint64_t>(::getpid())}, own.get()));
        CHECK(peer.cut_off());
        CHECK(service.logs("a host does not send rejoin_worker"));
    }
    ::close(pipe[0]);
    ::close(pipe[1]);
    check_serves(service);
}

TEST_CASE_FIXTURE(LeakChecked, "a worker that comes back twice, or breaks the protocol, is killed and nobody else") {
    Service service;
    OwnPidfd own;
    {
        FalseWorker worker(service, own.get());
        CHECK(come_back(worker.peer(), {.pid = static_cast<uint64_t>(worker.process().pid())}, own.get()));
        CHECK(worker.process().was_killed());
    }
    {
        FalseWorker worker(service, own.get());
        CHECK(worker.peer().send(std::string("garbage")));
        CHECK(worker.process().was_killed());
    }
    check_serves(service);
}

TEST_CASE_FIXTURE(LeakChecked, "a worker that came back is recalled when its host dies, and killed when it does not obey") {
    Service service;
    auto host = std::make_unique<PeerProcess>(service.socket());
    FalseWorker worker(service, host->pidfd(), 0);
    host->kill();
    CHECK(next(worker.peer()) == BERTH_MSG_RECYCLE);
    CHECK(worker.process().was_killed());
    check_serves(service);
}

TEST_CASE_FIXTURE(LeakChecked, "a host that is halted while the service restarts gets its context back when it runs again") {
    Service service;
    HostProcess host(service.socket());
    Host watcher(service.socket());
    ::kill(host.pid(), SIGSTOP);
    service.kill();
    service.start_again();
    CHECK(service.logs("is back with context"));
    ControlPeer thief(service.socket());
    REQUIRE(thief.greet());
    CHECK(claim(thief, 1, kToken, 1)); // the first context of the first supervisor
    CHECK(refusal(thief) == BERTH_RET_UNAVAILABLE); // its number alone says nothing, and nobody comes with that token
    CHECK(service.log().find(" again\n") == std::string::npos);
    ::kill(host.pid(), SIGCONT);
    CHECK(service.logs(" again\n"));
    host.kill();
    CHECK(eventually([&] { return watcher.status().bytes.find("Active") == std::string::npos; }));
}

TEST_CASE_FIXTURE(LeakChecked, "claims without end are bounded, and cost nobody else anything") {
    Service service;
    ControlPeer flood(service.socket());
    REQUIRE(flood.greet());
    for (uint64_t seq = 1; seq <= 1100; seq++) {
        std::string token = kToken;
        token.replace(0, 4, reinterpret_cast<const char *>(&seq), 4);
        if (!claim(flood, seq, token, seq))
            break; // it does not read, and may be cut off for that
    }
    check_serves(service);
    // Each has its answer, unless the connection ended first.
    for (int i = 0; i < 1100; i++) {
        auto packet = flood.receive();
        if (packet.end)
            break;
        REQUIRE(!packet.bytes.empty());
        uint64_t ret = packet.message().fields[BERTH_KEY_RET].number;
        CHECK((ret == BERTH_RET_BUSY || ret == BERTH_RET_UNAVAILABLE));
    }
    check_serves(service);
}
