// A control connection that belongs to another process: a child connects, and may be another user; the test speaks.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "control_peer.h"

namespace berth::test {

// What is not named stays as the test has it; only root can name another.
struct User {
    std::optional<uid_t> uid = {};
    std::optional<gid_t> gid = {};
    std::optional<std::vector<gid_t>> groups = {};
};

class PeerProcess {
  public:
    explicit PeerProcess(const std::string &socket, const User &user = {});
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
