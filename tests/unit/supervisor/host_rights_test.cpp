#include "supervisor/host_rights.h"

#include <csignal>
#include <doctest/doctest.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace berth;

namespace {

Message::Sender sender(pid_t pid, uid_t uid = 1000, gid_t gid = 100) { return {pid, uid, gid}; }

HostRights host(std::vector<gid_t> groups, pid_t pid = ::getpid(), uid_t uid = 1000) {
    return HostRights(Credentials{pid, *make_identity(uid, 100, std::move(groups))});
}

// A process of that user in these groups, with root's capabilities permitted or with none.
class InGroups {
  public:
    InGroups(std::vector<gid_t> groups, uid_t uid, bool capable = false) {
        int ready[2];
        REQUIRE(::pipe(ready) == 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            bool ok = ::setgroups(groups.size(), groups.data()) == 0 && ::setresgid(100, 100, 100) == 0 &&
                      ::prctl(PR_SET_KEEPCAPS, capable ? 1 : 0) == 0 && ::setresuid(uid, uid, uid) == 0;
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

TEST_CASE("a host that asks as another user, group or process than connected is told so") {
    pid_t own = ::getpid();
    CHECK(host({}).changed(sender(own, 1001), -1) ==
          "it connected as uid 1000, gid 100, and asks as uid 1001, gid 100");
    CHECK(host({}).changed(sender(own, 0), -1) == "it connected as uid 1000, gid 100, and asks as uid 0, gid 100");
    CHECK(host({}).changed(sender(own, 1000, 101), -1) ==
          "it connected as uid 1000, gid 100, and asks as uid 1000, gid 101");
    CHECK(host({}, 12).changed(sender(13), -1) == "pid 12 connected, and pid 13 asks");
    CHECK(host({}).changed(std::nullopt, -1) == "who asks cannot be told");
    CHECK(host({}).changed(sender(0), -1) == "who asks cannot be told");
    CHECK(host({}, own, 0).changed(sender(own, 0), -1).empty());
}

TEST_CASE("a host whose groups have changed is told so, and so is one that has ended") {
    if (::geteuid() != 0) {
        MESSAGE("not root: not tested");
        return;
    }
    InGroups process({7, 8}, 1000);
    auto asks = [&](HostRights host) { return host.changed(sender(process.pid()), process.pidfd()); };
    CHECK(asks(host({8, 7}, process.pid())).empty());
    CHECK(asks(host({7, 8, 9}, process.pid())) == "it connected with groups 7 8 9, and has groups 7 8");
    CHECK(asks(host({}, process.pid())) == "it connected with no groups, and has groups 7 8");
    auto root = host({}, process.pid(), 0);
    CHECK(root.changed(sender(process.pid(), 0), process.pidfd()).empty()); // root needs none
    auto thread = host({}, process.pid(), 1001); // with ids of its own: the first thread has others
    CHECK(thread.changed(sender(process.pid(), 1001), process.pidfd()).empty());
    pid_t pid = process.pid();
    process.end();
    CHECK(host({}, pid).changed(sender(pid), process.pidfd()) == "it has ended");
}

TEST_CASE("of a host that cannot change its groups they are read until they are the same") {
    if (::geteuid() != 0) {
        MESSAGE("not root: not tested");
        return;
    }
    InGroups process({7, 8}, 1000);
    auto same = host({7, 8}, process.pid());
    CHECK(same.changed(sender(process.pid()), process.pidfd()).empty());
    CHECK_FALSE(same.reads_groups());
    auto changed = host({7}, process.pid()); // and cannot be changed back
    for (int again = 0; again < 3; again++)
        CHECK(changed.changed(sender(process.pid()), process.pidfd()) ==
              "it connected with groups 7, and has groups 7 8");
    InGroups capable({7, 8}, 1000, true);
    auto other = host({7, 8}, capable.pid());
    CHECK(other.changed(sender(capable.pid()), capable.pidfd()).empty());
    CHECK(other.reads_groups());
}

TEST_CASE("whether a process may change its groups is read from its status") {
    CHECK_FALSE(parse_may_change_groups("Name:\tx\nCapPrm:\t0000000000000000\n"));
    CHECK(parse_may_change_groups("Name:\tx\nCapPrm:\t0000000000000040\n"));
    CHECK_FALSE(parse_may_change_groups("Name:\tx\nCapPrm:\tffffffffffffffbf\n"));
    CHECK(parse_may_change_groups("Name:\tx\n"));
    CHECK(parse_may_change_groups("Name:\tx\nCapPrm:\tz\n"));
}
