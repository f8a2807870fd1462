#include "supervisor/spawn.h"

#include <csignal>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.h"
#include "supervisor/process_setup.h"

using namespace berth;
using namespace berth::test;

namespace {

// A command, spawned, with one file for its standard output and error.
struct Command {
    TempDir folder;
    UniqueFd output{::open((folder / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    SpawnOptions options{"/bin/sh", {}, {"PATH=/bin:/usr/bin"}};
    StartNews news{StartNews::State::Pending};
    int status = -1;

    explicit Command(const std::string &line) {
        options.args = {"-c", line};
        options.fds[1] = options.fds[2] = output.get();
    }
    void run() {
        auto spawned = spawn(options);
        REQUIRE(spawned);
        CHECK(::fcntl(spawned->pidfd.get(), F_GETFD) == FD_CLOEXEC);
        pollfd end{spawned->pidfd.get(), POLLIN, 0};
        REQUIRE(::poll(&end, 1, 10'000) == 1);
        news = start_news(spawned->news.get(), options.program);
        REQUIRE(::waitpid(spawned->pid, &status, 0) == spawned->pid);
    }
    std::string out() const { return read_file(folder / "out"); }
};

} // namespace

TEST_CASE("a program is started with its arguments and its environment, and nothing else") {
    Command command("echo $#: $1 $2; env | grep -v '^_=\\|^PWD=\\|^SHLVL=' | sort; exit 7");
    command.options.args.insert(command.options.args.end(), {"sh", "one", "two words"});
    command.options.env = {"PATH=/bin:/usr/bin", "WORD=x"};
    command.run();
    CHECK(command.out() == "2: one two words\nPATH=/bin:/usr/bin\nWORD=x\n");
    CHECK(command.news.state == StartNews::State::Started);
    CHECK(WEXITSTATUS(command.status) == 7);
}

TEST_CASE("descriptors change places without overwriting one another, and no other is left open") {
    make_fds_private(); // whoever runs the tests may have left some open
    Command command("echo third >&3; echo fifth >&5\n"
                    "for fd in $(seq 0 99); do [ -e /proc/$$/fd/$fd ] && echo $fd; done");
    TempDir folder;
    UniqueFd three(::open((folder / "three").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    UniqueFd five(::open((folder / "five").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    // Crosswise, where the numbers are free: 5 has what becomes 3, and the other way round.
    UniqueFd at_five(::fcntl(three.get(), F_DUPFD_CLOEXEC, 5)), at_three(::fcntl(five.get(), F_DUPFD_CLOEXEC, 3));
    command.options.fds[3] = at_five.get();
    command.options.fds[5] = at_three.get();
    command.run();
    CHECK(read_file(folder / "three") == "third\n");
    CHECK(read_file(folder / "five") == "fifth\n");
    CHECK(command.out() == "1\n2\n3\n5\n");
}

TEST_CASE("signals are at their defaults and none is blocked, SIGPIPE's too") {
    auto former = ::signal(SIGPIPE, SIG_IGN);
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &blocked, &before);
    Command command("grep 'SigBlk\\|SigIgn' /proc/self/status | tr -d '\\t\\n'");
    command.run();
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    ::signal(SIGPIPE, former);
    CHECK(command.out() == "SigBlk:0000000000000000SigIgn:0000000000000000");
}

TEST_CASE("a program that is not there: the step and the system's reason") {
    Command command("");
    command.options.program = "/nowhere/at-all";
    command.run();
    CHECK(command.news.state == StartNews::State::Failed);
    CHECK(command.news.text == "/nowhere/at-all: execve: No such file or directory");
    CHECK(WEXITSTATUS(command.status) == 127);
}

TEST_CASE("a descriptor that is none: the step says so") {
    Command command("");
    command.options.fds[3] = 9999;
    command.run();
    CHECK(command.news.text == "/bin/sh: dup2: Bad file descriptor");
}

TEST_CASE("the child has user, group and groups, all three, and none that the parent had") {
    if (!may_change_identity()) {
        MESSAGE("not root: not tested");
        return;
    }
    Command command("grep '^Uid\\|^Gid\\|^Groups\\|^CapEff' /proc/self/status | tr '\\t' ' '");
    command.options.become = *make_identity(4711, 4712, {4714, 4713});
    command.run();
    CHECK(command.out() == "Uid: 4711 4711 4711 4711\nGid: 4712 4712 4712 4712\nGroups: 4713 4714 \n"
                           "CapEff: 0000000000000000\n");
}

TEST_CASE("an identity that may not be taken is not taken in part: nothing runs") {
    // In a child, which gives its rights away.
    CHECK(in_a_fork([] {
              if (::geteuid() == 0 && (::setgid(65534) || ::setuid(65534)))
                  return 1;
              SpawnOptions options{"/bin/true", {}, {}, Identity{4711, 4712, {4713}}};
              auto spawned = spawn(options);
              pollfd end{spawned ? spawned->pidfd.get() : -1, POLLIN, 0};
              if (!spawned || ::poll(&end, 1, 10'000) != 1)
                  return 2;
              auto news = start_news(spawned->news.get(), options.program);
              return news.text == "/bin/true: setgroups: Operation not permitted" ? 0 : 3;
          }) == 0);
}

TEST_CASE("a report that names no step of ours is told as such") {
    CHECK(describe(SpawnFailure{77, ENOENT}, "x") == "x: an unknown step: No such file or directory");
}
