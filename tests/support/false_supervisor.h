// A listening socket that a test answers as a supervisor would, or would not.
#pragma once

#include <memory>
#include <string>
#include <sys/types.h>

#include "control_peer.h"

namespace berth::test {

class FalseSupervisor {
  public:
    // uid: who listens, as the other side sees it; 0: the test's own user. Replaces what is at `path`.
    explicit FalseSupervisor(const std::string &path, uid_t uid = 0);
    ~FalseSupervisor();
    FalseSupervisor(const FalseSupervisor &) = delete;

    // The next connection, within the hang bound; none: nobody came.
    std::unique_ptr<ControlPeer> accept();
    // The same, greeted: hello taken, welcome sent.
    std::unique_ptr<ControlPeer> accept_host();

  private:
    std::string path_;
    int fd_;
};

} // namespace berth::test
