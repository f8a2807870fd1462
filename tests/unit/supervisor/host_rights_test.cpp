#include "supervisor/host_rights.h"

#include <csignal>
#include <doctest/doctest.h>
#include <grp.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace berth;

namespace {

const Message::Sender kSame{1000, 100};

HostRights host(std::vector<gid_t> groups, pid_t pid = ::getpid(), uid_t uid = 1000) {
    return HostRights(Credentials{pid, *make_identity(uid, 100, std::move(groups))});
}

// A process in these groups, with root's capabilities or with none.
class InGroups {
  public:
    InGroups(std::vector<gid_t> groups, bool capable) {
        int ready[2];
        REQUIRE(::pipe(ready) == 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            bool ok = ::setgroups(groups.size(), groups.data()) == 0 && (capable || ::setuid(65534) == 0);
            (void)!::write(ready[1], ok ? "y" : "n", 1);
            for (;;)
                ::pause();
        }
        char answer = 0;
        CHECK(::read(ready[0], &answer, 1) == 1);
        CHECK(answer == 'y');
        ::close(ready[0]);
        ::close(ready[1]);
        pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    }
    ~InGroups() { end(); }
    void end() {
        if (pid_ <= 0)
            return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    pid_t pid() const { return pid_; }
    int pidfd() const { return pidfd_.get(); }

  private:
    pid_t pid_;
    UniqueFd pidfd_;
};

} // namespace

TEST_CASE("a host that asks as another user or group than it connected as is told so") {
    CHECK(host({}).changed(Message::Sender{1001, 100}, -1) ==
          "it connected as uid 1000, gid 100, and asks as uid 1001, gid 100");
    CHECK(host({}).changed(Message::Sender{0, 100}, -1) ==
          "it connected as uid 1000, gid 100, and asks as uid 0, gid 100");
    CHECK(host({}).changed(Message::Sender{1000, 101}, -1) ==
          "it connected as uid 1000, gid 100, and asks as uid 1000, gid 101");
    CHECK(host({}).changed(std::nullopt, -1) == "who asks cannot be told");
    CHECK(host({}, ::getpid(), 0).changed(Message::Sender{0, 100}, -1).empty());
}

TEST_CASE("a host whose groups have changed is told so, and one that has ended is not") {
    if (::geteuid() != 0) {
        MESSAGE("not root: not tested");
        return;
    }
    InGroups process({7, 8}, true);
    CHECK(host({8, 7}, process.pid()).changed(kSame, process.pidfd()).empty());
    auto before = host({7, 8, 9}, process.pid());
    CHECK(before.changed(kSame, process.pidfd()) == "it connected with groups 7 8 9, and has groups 7 8");
    CHECK(before.changed(kSame, process.pidfd()) != ""); // and again
    CHECK(host({}, process.pid()).changed(kSame, process.pidfd()) == "it connected with no groups, and has groups 7 8");
    CHECK(host({}, process.pid(), 0).changed(Message::Sender{0, 100}, process.pidfd()).empty()); // root's say nothing
    pid_t pid = process.pid();
    process.end();
    CHECK(host({}, pid).changed(kSame, process.pidfd()).empty());
}

TEST_CASE("of a host that cannot change its groups they are read once") {
    if (::geteuid() != 0) {
        MESSAGE("not root: not tested");
        return;
    }
    InGroups process({7, 8}, false);
    auto same = host({7, 8}, process.pid());
    CHECK(same.changed(kSame, process.pidfd()).empty());
    CHECK_FALSE(same.reads_groups());
    auto changed = host({7}, process.pid()); // and cannot be changed back
    for (int again = 0; again < 3; again++)
        CHECK(changed.changed(kSame, process.pidfd()) == "it connected with groups 7, and has groups 7 8");
    InGroups capable({7, 8}, true);
    auto other = host({7, 8}, capable.pid());
    CHECK(other.changed(kSame, capable.pidfd()).empty());
    CHECK(other.reads_groups());
}

TEST_CASE("whether a process may change its groups is read from its status") {
    CHECK_FALSE(parse_may_change_groups("Name:\tx\nCapPrm:\t0000000000000000\n"));
    CHECK(parse_may_change_groups("Name:\tx\nCapPrm:\t0000000000000040\n"));
    CHECK_FALSE(parse_may_change_groups("Name:\tx\nCapPrm:\tffffffffffffffbf\n"));
    CHECK(parse_may_change_groups("Name:\tx\n"));
    CHECK(parse_may_change_groups("Name:\tx\nCapPrm:\tz\n"));
}
