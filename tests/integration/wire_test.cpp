// What segment major 2 and control version 3 are, seen from a host that is made by hand: the wake socket, and what a host
// may do to it; descriptors that are named; and who closed, where it was not the host.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <functional>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "policy_service.h"
#include "processes.h"
#include "raw_host.h"
#include "segment_map.h"
#include "service.h"

using namespace berth::test;

namespace {

// How many descriptors a process watches by its epolls.
size_t watched_by(pid_t pid) {
    size_t count = 0;
    auto folder = "/proc/" + std::to_string(pid);
    for (const auto &[fd, target] : Holdings::fds_of(pid)) {
        if (target.find("eventpoll") == std::string::npos)
            continue;
        std::string info = read_file(folder + "/fdinfo/" + std::to_string(fd));
        for (size_t at = info.find("tfd:"); at != std::string::npos; at = info.find("tfd:", at + 1))
            count++;
    }
    return count;
}

// With this host's rings as they are: the worker is there, and does what it is told.
void check_serves(RawHost &host) {
    for (int i = 0; i < 3; i++)
        CHECK(host.answer(host.request("echo", "here")) == "here");
}

void check_refused(const std::function<void(RawHost &)> &open, const std::string &why) {
    CAPTURE(why);
    Service service;
    Host other(service.socket());
    Context beside(other);
    RawHost host(service.socket());
    open(host);
    CHECK(host.peer().cut_off());
    CHECK_MESSAGE(service.logs(why), service.log());
    CHECK(beside.call("echo", "undisturbed") == Answer{0, "undisturbed"});
}

bool open_with(RawHost &host, const std::vector<int> &fds) { return host.peer().open(1, "echo", fds); }

std::string text_of_close(RawHost &host) {
    auto closed = host.next();
    if (!closed || closed->header.kind != BERTH_FRAME_CLOSED)
        return "no CLOSED";
    CHECK(closed->header.flags == 0);
    return closed->payload;
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a host of major 2 opens, calls, is woken by its socket, and closes") {
    Service service;
    RawHost host(service.socket());
    host.open();
    check_serves(host);
    for (int i = 0; i < 20; i++) {
        REQUIRE(host.prepare_wait());
        uint64_t id = host.request("later", later_request(1, "awake"));
        CHECK(host.woken());
        CHECK(host.answer(id) == "awake");
    }
    host.urgent(BERTH_FRAME_CLOSE);
    CHECK(text_of_close(host) == "");
}

TEST_CASE_FIXTURE(LeakChecked, "the same socket wakes the worker: a cancel reaches a busy library") {
    Service service;
    RawHost host(service.socket());
    host.open();
    for (int i = 0; i < 20; i++) {
        uint64_t id = host.request("block", cbor(R"({"ms": 600000})"));
        auto *turns = &host.header().handler_turns;
        CHECK(eventually([&] { return __atomic_load_n(turns, __ATOMIC_RELAXED) % 2 == 1; }));
        host.urgent(BERTH_FRAME_CANCEL, id);
        CHECK(host.answer(id) == "1: cancelled");
    }
}

TEST_CASE_FIXTURE(LeakChecked, "frames that stood in the urgent ring before the open are taken") {
    Service service;
    RawHost host(service.socket());
    for (int i = 0; i < 200; i++)
        host.urgent(BERTH_FRAME_CREDIT, 77, 77);
    host.urgent(BERTH_FRAME_CLOSE);
    REQUIRE(host.ask_open("echo"));
    REQUIRE(host.opened() > 0);
    CHECK(text_of_close(host) == "");
}

TEST_CASE_FIXTURE(LeakChecked, "a wake socket that is full, either way, holds nobody up") {
    Service service;
    RawHost host(service.socket());
    host.open();
    // Both ends wait by default, and these flags are the other side's, too: each call says for itself that it does not.
    std::string lots(4096, 'x');
    for (int fd : {host.worker_wake(), host.wake()}) {
        REQUIRE((::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
        while (::send(fd, lots.data(), lots.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        }
        CHECK(errno == EAGAIN);
    }
    for (int i = 0; i < 50; i++) {
        REQUIRE(host.prepare_wait());
        CHECK(host.answer(host.request("echo", "x")) == "x");
    }
    uint64_t blocked = host.request("block", cbor(R"({"ms": 600000})"));
    host.urgent(BERTH_FRAME_CANCEL, blocked);
    CHECK(host.answer(blocked).starts_with("1")); // "cancelled", as it began or before
    host.urgent(BERTH_FRAME_CLOSE);
    CHECK(text_of_close(host) == "");
}

TEST_CASE_FIXTURE(LeakChecked, "a wake socket that the host has shut is not polled any more, and the context lives on") {
    Service service;
    RawHost host(service.socket());
    pid_t worker = host.open();
    size_t watched = watched_by(worker);
    REQUIRE(watched >= 3);
    ::shutdown(host.wake(), SHUT_RDWR);
    CHECK(eventually([&] { return watched_by(worker) == watched - 1; }));
    REQUIRE(host.prepare_wait());
    check_serves(host);
    __atomic_store_n(&host.header().closing, 1u, __ATOMIC_SEQ_CST);
    berth_ring_kick(&host.header().control[BERTH_RING_REQUEST]);
    CHECK(text_of_close(host) == "");
}

TEST_CASE_FIXTURE(LeakChecked, "a worker whose host shut its socket serves the next one") {
    PolicyService service("max_contexts = 1\nspares = 0\n");
    pid_t worker;
    {
        RawHost host(service.socket());
        worker = host.open();
        ::shutdown(host.wake(), SHUT_RDWR);
    }
    RawHost next(service.socket());
    CHECK(next.open() == worker);
    check_serves(next);
    uint64_t id = next.request("block", cbor(R"({"ms": 600000})"));
    next.urgent(BERTH_FRAME_CANCEL, id);
    CHECK(next.answer(id).starts_with("1")); // "cancelled", as it began or before
}

TEST_CASE_FIXTURE(LeakChecked, "segment and descriptors of two majors do not go together") {
    int eventfds[2] = {::eventfd(0, EFD_CLOEXEC), ::eventfd(0, EFD_CLOEXEC)};
    check_refused([&](RawHost &host) { open_with(host, {host.memfd(), eventfds[0], eventfds[1]}); },
                  "its descriptors are not those of a segment of version 2");
    RawSegment old;
    check_refused([&](RawHost &host) { open_with(host, {old.fds()[0], host.worker_wake()}); },
                  "its descriptors are not those of a segment of version 1");
    for (int fd : eventfds)
        ::close(fd);
}

TEST_CASE_FIXTURE(LeakChecked, "a wake socket is an end of a stream of this machine, and nothing else") {
    int eventfd = ::eventfd(0, EFD_CLOEXEC), pair[2];
    int internet = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
    int folder = ::open("/", O_PATH | O_CLOEXEC);
    for (int fd : {eventfd, internet, pair[0], folder})
        check_refused([&](RawHost &host) { open_with(host, {host.memfd(), fd}); }, "its wake socket is none");
    for (int fd : {eventfd, internet, pair[0], pair[1], folder})
        ::close(fd);
}

TEST_CASE_FIXTURE(LeakChecked, "segments of major 2 that cannot be are refused, each with its reason") {
    using Change = std::function<void(berth_segment_header &)>;
    const std::vector<std::pair<std::string, Change>> changes = {
        {"segment version 3", [](auto &header) { header.major = 3; }},
        {"ring 4 is not known here", [](auto &header) { header.rings[4] = {65536, 65536}; }},
        {"a reserved word is not zero", [](auto &header) { header.reserved0[15] = 1; }},
        {"ring 0 lies outside the segment", [](auto &header) { header.rings[0].offset = 4096; }},
    };
    for (const auto &[why, change] : changes) {
        CAPTURE(why);
        Service service;
        RawHost host(service.socket(), change);
        REQUIRE(host.ask_open("echo"));
        CHECK(host.peer().cut_off());
        CHECK_MESSAGE(service.logs(why), service.log());
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a CREDIT in a segment of major 1 is a frame that cannot be") {
    Service service;
    RawSegment segment;
    ControlPeer peer(service.socket());
    REQUIRE(peer.greet());
    segment.publish(BERTH_RING_URGENT, {0, BERTH_FRAME_CREDIT, 0, 1, 1, 0, 0});
    REQUIRE(peer.open(1, "echo", segment.fds()));
    CHECK(peer.cut_off());
    CHECK_MESSAGE(service.logs("a frame or an index in the urgent ring cannot be"), service.log());
}

TEST_CASE_FIXTURE(LeakChecked, "what a host understands that its worker does not is no reason to refuse it") {
    Service service;
    RawHost host(service.socket(), [](auto &header) { header.features = ~uint64_t{0}; });
    host.open();
    check_serves(host);
    CHECK(host.header().worker_features == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "descriptors that an open names and nobody knows are closed") {
    Service service;
    RawHost host(service.socket());
    int pipe[2];
    char byte;
    REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
    REQUIRE(host.ask_open("echo", uint64_t{1} << 63 | BERTH_DESCRIPTOR_CWD, {pipe[1], pipe[1]}));
    ::close(pipe[1]);
    host.create();
    REQUIRE(host.opened() > 0);
    CHECK(host.answer(uint64_t{1} << 32) == "\xf6");
    CHECK(::read(pipe[0], &byte, 1) == 0); // nobody has the other end, in particular no worker
    ::close(pipe[0]);
    check_serves(host);
}

TEST_CASE_FIXTURE(LeakChecked, "a service that is stopped says so to its hosts, and only to those who can be told") {
    Service service;
    RawHost host(service.socket());
    host.open();
    RawSegment old;
    ControlPeer peer(service.socket());
    REQUIRE(peer.greet());
    old.publish(BERTH_RING_REQUEST, {0, BERTH_FRAME_CREATE, 0, uint64_t{1} << 32, 0, 0, 0});
    REQUIRE(peer.open(1, "echo", old.fds()));
    auto *tail = &old.header().control[BERTH_RING_REPLY].tail;
    REQUIRE(eventually([&] { return __atomic_load_n(tail, __ATOMIC_ACQUIRE) == 64; }));
    service.send(SIGTERM);
    CHECK(text_of_close(host) == "the service was stopped");
    CHECK(eventually([&] { return __atomic_load_n(tail, __ATOMIC_ACQUIRE) == 128; }));
    berth_frame_header closed;
    std::memcpy(&closed, old.bytes(BERTH_RING_REPLY) + 64, sizeof closed);
    CHECK(closed.kind == BERTH_FRAME_CLOSED);
    CHECK(closed.size == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "a host that asked for its close before the service stops is told nothing") {
    Service service;
    RawHost host(service.socket());
    host.open();
    uint64_t busy = host.request("later", later_request(300, "done"));
    host.urgent(BERTH_FRAME_CLOSE);
    CHECK(eventually([&] { return __atomic_load_n(&host.header().closing, __ATOMIC_SEQ_CST) == 1; }));
    service.send(SIGTERM);
    host.answer(busy);
    CHECK(text_of_close(host) == "");
}

TEST_CASE_FIXTURE(LeakChecked, "the supervisor speaks versions 1 to 3") {
    Service service;
    for (auto [least, most, agreed] : {std::array{1u, 1u, 1u}, {1u, 2u, 2u}, {1u, 3u, 3u}, {2u, 9u, 3u}}) {
        ControlPeer peer(service.socket());
        berth_control_message hello;
        berth_control_init(&hello, BERTH_MSG_HELLO);
        berth_control_set_uint(&hello, BERTH_KEY_VERSION_MIN, least);
        berth_control_set_uint(&hello, BERTH_KEY_VERSION_MAX, most);
        REQUIRE(peer.send(hello));
        auto packet = peer.receive();
        auto welcome = packet.message();
        CHECK(welcome.type == BERTH_MSG_WELCOME);
        CHECK(welcome.fields[BERTH_KEY_VERSION].number == agreed);
        CHECK(welcome.fields[BERTH_KEY_FEATURES].kind == BERTH_FIELD_ABSENT);
    }
}
