// A forked process that is gone when its owner is: killed and reaped by the destructor, and killed by the kernel
// should this process die first.
#pragma once

#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::cli {

class Child {
  public:
    // Runs `serve` in the child, which ends when it returns. Make children before libberth is first used: what a
    // child of its host may still do with it is nothing.
    template <class Serve> explicit Child(Serve &&serve) {
        pid_t parent = getpid();
        pid_ = fork();
        if (pid_ < 0)
            throw std::runtime_error("fork failed");
        if (pid_ > 0)
            return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            serve();
        _exit(0);
    }
    Child(const Child &) = delete;
    Child &operator=(const Child &) = delete;
    ~Child() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }

  private:
    pid_t pid_;
};

} // namespace berth::cli
