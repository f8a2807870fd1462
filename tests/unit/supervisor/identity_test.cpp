#include "supervisor/identity.h"

#include <csignal>
#include <doctest/doctest.h>
#include <numeric>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace berth;

namespace {

Identity identity(uid_t uid, gid_t gid, std::vector<gid_t> groups = {}) {
    return *make_identity(uid, gid, std::move(groups));
}

const std::string kStatus = "Name:\tUid: 1\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t6\t7\t8\n"
                            "FDSize:\t64\nGroups:\t27 4 1000 \nNStgid:\t1\n";

} // namespace

TEST_CASE("an identity is user, group and the set of groups, in whatever order they were given") {
    CHECK(identity(1, 2, {3, 4}) == identity(1, 2, {4, 3, 4}));
    CHECK(identity(1, 2, {3}) != identity(9, 2, {3}));
    CHECK(identity(1, 2, {3}) != identity(1, 9, {3}));
    CHECK(identity(1, 2, {3}) != identity(1, 2, {}));
    CHECK(identity(1, 2, {3}) != identity(1, 2, {3, 4}));
}

TEST_CASE("more groups than the bound are refused, and the text says how many there are") {
    std::vector<gid_t> groups(kMostGroups);
    std::iota(groups.begin(), groups.end(), 0);
    CHECK(make_identity(1, 1, groups));
    groups.push_back(kMostGroups);
    auto refused = make_identity(1, 1, groups);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text == "it is in 4097 supplementary groups, at most 4096 are taken");
}

TEST_CASE("the ids that stand for none are nobody's: who became that would stay what it is") {
    constexpr auto kNone = static_cast<uid_t>(-1);
    CHECK(make_identity(kNone, 1, {}).error().text == "it has no user, or no group");
    CHECK(make_identity(1, kNone, {}).error().text == "it has no user, or no group");
}

TEST_CASE("an identity is told in one line, however many groups it has") {
    CHECK(describe(identity(1000, 100)) == "uid 1000, gid 100, no groups");
    CHECK(describe(identity(0, 0, {27, 4})) == "uid 0, gid 0, groups 4 27");
    std::vector<gid_t> groups(20);
    std::iota(groups.begin(), groups.end(), 10);
    CHECK(describe(identity(1, 1, groups)) ==
          "uid 1, gid 1, groups 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 and 4 more");
}

TEST_CASE("what a process left behind is for its user's processes that have all its groups, and for root") {
    auto subject = identity(1000, 50, {100, 101});
    CHECK(may_see(subject, subject));
    CHECK(may_see(identity(1000, 100, {50, 101, 102}), subject)); // which of them is the first makes no difference
    CHECK(may_see(identity(0, 0), subject));
    CHECK_FALSE(may_see(identity(1000, 100, {100, 101}), subject)); // 50 was that of a set-gid program
    CHECK_FALSE(may_see(identity(1000, 50, {100}), subject));
    CHECK_FALSE(may_see(identity(1001, 50, {100, 101}), subject));
    CHECK_FALSE(may_see(identity(1000, 50), identity(0, 50)));
}

TEST_CASE("the peer of a socket is known by all three, and a pair made by this process is its own") {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    auto peer = peer_credentials(pair[0]);
    REQUIRE(peer);
    CHECK(peer->pid == ::getpid());
    CHECK(peer->identity == own_identity());
    CHECK(own_identity().uid == ::geteuid());
    CHECK(own_identity().gid == ::getegid());
    ::close(pair[0]);
    ::close(pair[1]);
    auto none = peer_credentials(pair[0]);
    REQUIRE_FALSE(none);
    CHECK(none.error().text == "SO_PEERCRED: Bad file descriptor");
}

TEST_CASE("the ids of a process are read from its status") {
    auto ids = parse_process_ids(kStatus);
    REQUIRE(ids);
    CHECK(ids->uids == std::vector<uid_t>{1000, 1001, 1002, 1003});
    CHECK(ids->gids == std::vector<gid_t>{5, 6, 7, 8});
    CHECK(ids->groups.sorted() == std::vector<gid_t>{4, 27, 1000});
    auto own = read_process_ids(::getpid());
    REQUIRE(own);
    CHECK(*own == ids_of(own_identity()));
    auto other = identity(1000, 100, {4, 27});
    CHECK(ids_of(other) == ProcessIds{{1000, 1000, 1000, 1000}, {100, 100, 100, 100}, {4, 27}});
}

TEST_CASE("a status that is cut off anywhere, or holds no numbers, is told from one of a process in no groups") {
    size_t whole = kStatus.find("NStgid");
    for (size_t size = 0; size < whole; size++) {
        CAPTURE(size);
        CHECK_FALSE(parse_process_ids(kStatus.substr(0, size)));
    }
    CHECK(parse_process_ids(kStatus.substr(0, whole)));
    CHECK(parse_process_ids("\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \n")->groups.sorted().empty());
    auto wrong = [](const std::string &status) { return parse_process_ids(status).error().text; };
    CHECK(wrong("\nUid:\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \n") ==
          "its status has not four ids of a user and of a group");
    CHECK(wrong("\nUid:\tx\nGid:\t0\t0\t0\t0\nGroups:\t \n") ==
          "its status has no whole line of numbers \"Uid:\"");
    CHECK(wrong("\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t99999999999 \n") ==
          "its status has no whole line of numbers \"Groups:\"");
    CHECK(read_process_ids(-1).error().text == "its status cannot be read");
}

TEST_CASE("a process acts as its user while it lives, and never one that has its pid after it") {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    auto own = peer_pidfd(pair[0], ::getpid());
    REQUIRE(own);
    CHECK(acts_as(own->get(), ::getpid(), ::geteuid()));
    CHECK_FALSE(acts_as(own->get(), ::getpid(), ::geteuid() + 1));
    ::close(pair[0]);
    ::close(pair[1]);

    pid_t child = ::fork();
    if (child == 0)
        for (;;)
            ::pause();
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    CHECK(acts_as(pidfd.get(), child, ::geteuid()));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    CHECK_FALSE(acts_as(pidfd.get(), child, ::geteuid()));
    // As when its pid has become another's, which /proc then tells of.
    CHECK_FALSE(acts_as(pidfd.get(), ::getpid(), ::geteuid()));
}
