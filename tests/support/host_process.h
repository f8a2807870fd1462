// A host in a process of its own, to be killed: this program again.
#pragma once

#include <string>
#include <sys/types.h>

namespace berth::test {

class HostProcess {
  public:
    // In the middle of calls to echo.
    explicit HostProcess(const std::string &socket);
    // With one request under way.
    HostProcess(const std::string &socket, const std::string &module, const std::string &method);
    ~HostProcess(); // kill()
    HostProcess(const HostProcess &) = delete;

    pid_t pid() const { return pid_; }
    void kill(); // SIGKILL, and waits for its end

  private:
    pid_t pid_ = -1;
};

} // namespace berth::test
