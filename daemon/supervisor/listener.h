// The socket that hosts connect to: made here or passed by systemd, gone with this.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/loop.h"

namespace berth {

class Listener {
  public:
    using Accepted = std::function<void(UniqueFd socket)>;

    // Listens at `path`, making its folder. A socket that nobody listens at any more is replaced; a live one is an
    // error. `shared`: every user may connect, else only the daemon's own.
    static Result<std::unique_ptr<Listener>> bind(uv_loop_t *loop, const std::string &path, bool shared,
                                                  Accepted accepted);
    // Takes over a listening socket, which somebody else will remove.
    static std::unique_ptr<Listener> adopt(uv_loop_t *loop, UniqueFd socket, Accepted accepted);
    ~Listener();

    const std::string &path() const { return path_; }
    // The last one who listened there did not end in order: it was killed.
    bool follows_a_death() const { return follows_a_death_; }

  private:
    Listener(uv_loop_t *loop, UniqueFd socket, std::string path, Accepted accepted);
    void accept();

    Accepted accepted_;
    UniqueFd socket_;
    std::string path_;
    bool owns_path_ = false;
    bool follows_a_death_ = false;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    Poller poller_;
    Timer pause_; // after accept() ran out of descriptors
};

} // namespace berth
