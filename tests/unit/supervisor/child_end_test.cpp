#include "supervisor/child_end.h"

#include <doctest/doctest.h>
#include <memory>
#include <optional>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"

using namespace berth;

namespace {

class Child {
  public:
    Child() : pid_(::fork()) {
        if (pid_ == 0)
            for (;;)
                ::pause();
        pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    }
    pid_t pid() const { return pid_; }
    int pidfd() const { return pidfd_.get(); }

  private:
    pid_t pid_;
    UniqueFd pidfd_;
};

struct Loop {
    uv_loop_t loop;
    Loop() { REQUIRE(uv_loop_init(&loop) == 0); }
    ~Loop() {
        uv_run(&loop, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&loop) == 0);
    }
};

} // namespace

TEST_CASE("a child's end is told once, how it came, and its watch may go at that moment") {
    Loop loop;
    Child child;
    int told = 0, signal = 0;
    std::unique_ptr<ChildEnd> end;
    end = std::make_unique<ChildEnd>(&loop.loop, child.pidfd(), [&](const siginfo_t *info) {
        told++;
        signal = info ? info->si_status : -1;
        end.reset();
    });
    uv_run(&loop.loop, UV_RUN_NOWAIT);
    CHECK(told == 0);
    ::kill(child.pid(), SIGKILL);
    uv_run(&loop.loop, UV_RUN_DEFAULT); // until nothing is watched any more
    CHECK(told == 1);
    CHECK(signal == SIGKILL);
    CHECK(::waitpid(child.pid(), nullptr, WNOHANG) == -1); // it is reaped
}

TEST_CASE("of a child that somebody else has reaped it is told that it is gone") {
    Loop loop;
    Child child;
    std::optional<bool> known;
    std::unique_ptr<ChildEnd> end;
    end = std::make_unique<ChildEnd>(&loop.loop, child.pidfd(), [&](const siginfo_t *info) {
        known = info != nullptr;
        end.reset();
    });
    ::kill(child.pid(), SIGKILL);
    ::waitpid(child.pid(), nullptr, 0);
    uv_run(&loop.loop, UV_RUN_DEFAULT);
    CHECK(known == false);
}
