// A control connection that belongs to another process: a child connects, and may be another user; the test speaks.
#pragma once

#include <string>
#include <sys/types.h>

#include "control_peer.h"

namespace berth::test {

class PeerProcess {
  public:
    // uid: 0 keeps the test's own.
    explicit PeerProcess(const std::string &socket, uid_t uid = 0);
    ~PeerProcess(); // ends the child
    PeerProcess(const PeerProcess &) = delete;

    pid_t pid() const { return pid_; }
    int pidfd() const { return pidfd_; }
    ControlPeer &peer() { return peer_; }
    bool was_killed(); // the child, by SIGKILL and somebody else, within the hang bound
    void kill();

  private:
    pid_t pid_ = -1;
    int pidfd_ = -1;
    ControlPeer peer_;
};

} // namespace berth::test
