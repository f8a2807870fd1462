// A control connection on the loop: reads what comes, keeps back what the peer is too slow to take, and says when it
// is over.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "control/channel.h"
#include "supervisor/loop.h"

namespace berth {

class PeerHandler {
  public:
    virtual void on_message(Message message) = 0;
    // The connection is over: `why` is empty when the peer ended it, else what it did wrong. Comes at most once.
    virtual void on_gone(const std::string &why) = 0;

  protected:
    ~PeerHandler() = default;
};

class Peer {
  public:
    static constexpr size_t kMaxQueued = 64;
    static constexpr size_t kMaxQueuedBytes = 256 * 1024;

    // The socket must be a connected SOCK_SEQPACKET one.
    Peer(uv_loop_t *loop, UniqueFd socket, PeerHandler &handler);

    // Never waits and never calls back. A peer that leaves too much unread is cut off on the loop's next turn.
    void send(Message message);
    // Hands over what has come already; for the moment when the peer's process is known to be gone.
    void drain();
    // No callback follows. May be called from within one; the Peer itself must outlive it.
    void close();
    // The same, and the socket is the caller's, with what was not read yet.
    UniqueFd release();
    bool is_open() const { return channel_.has_value(); }

  private:
    void ready(int events);
    bool take_one();
    void flush();
    void queue(Message message);
    void cut_off(const std::string &why);
    void gone(const std::string &why);

    PeerHandler &handler_;
    std::optional<Channel> channel_;
    std::unique_ptr<Poller> poller_; // after the channel: stops watching before the socket closes
    std::deque<std::pair<Message, size_t>> queue_;
    size_t queued_bytes_ = 0;
    std::string cut_off_;
};

} // namespace berth
