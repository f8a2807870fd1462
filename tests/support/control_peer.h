// A peer of berthd without manners: sends any bytes and any descriptors over a control connection.
#pragma once

#include <optional>
#include <string>
#include <sys/socket.h>
#include <vector>

#include "control.h"

namespace berth::test {

class ControlPeer {
  public:
    explicit ControlPeer(const std::string &socket);
    explicit ControlPeer(int fd) : fd_(fd) {} // a connected one, which it takes
    ~ControlPeer();
    ControlPeer(const ControlPeer &) = delete;

    static bool can_connect(const std::string &socket);
    int fd() const { return fd_; }
    // What it sends from now on is this process's and user's, by its word; root's privilege.
    void speak_as(pid_t pid, uid_t uid, gid_t gid) { speaker_ = {pid, uid, gid}; }
    // False: the other end is gone.
    bool send(const std::string &packet, const std::vector<int> &fds = {});
    bool send(const berth_control_message &message, const std::vector<int> &fds = {});
    struct Packet {
        bool end = false; // of the connection
        std::string bytes;
        std::vector<int> fds; // the caller's
        // What it says, whose fields point into `bytes`; type 0 when it cannot be.
        berth_control_message message() const;
    };
    Packet receive(); // waits up to the hang bound; then neither end nor bytes
    // Reads until the other end hangs up. False: it did not within the hang bound.
    bool cut_off();
    // hello, and the welcome taken.
    bool greet();
    // open, with these descriptors.
    bool open(unsigned seq, const std::string &module, const std::vector<int> &fds);

  private:
    int fd_;
    std::optional<ucred> speaker_;
};

} // namespace berth::test
