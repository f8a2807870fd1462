// How host and worker wake each other where a futex does not do: a host that polls, and our control thread.
//
// A host of major 2 gives one end of a socket pair. Nothing that it does to that socket makes a call of ours wait, as each
// call says for itself that it does not. One of major 1 gives two eventfds, which it shares with us: there it can.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace berth {

class Wakeups {
  public:
    // An error: that is no end of such a pair.
    static Result<Wakeups> by_socket(UniqueFd socket);
    static Wakeups by_eventfds(UniqueFd host, UniqueFd doorbell);

    void wake_host() const;
    // Readable when the host has put something into the urgent ring.
    int doorbell() const { return doorbell_ ? doorbell_.get() : host_.get(); }
    // Empties the doorbell; what a bounded number of reads leaves is still readable. False: nothing comes there any more.
    bool clear_doorbell() const;

  private:
    Wakeups(UniqueFd host, UniqueFd doorbell) : host_(std::move(host)), doorbell_(std::move(doorbell)) {}
    bool is_socket() const { return !doorbell_; }

    UniqueFd host_;     // the socket, or the host's eventfd
    UniqueFd doorbell_; // the eventfd that the host writes; none: the socket does for both
};

} // namespace berth
