// One end of a control connection: whole messages with their descriptors over a SOCK_SEQPACKET socket. Knows no
// event loop; the owner polls fd().
#pragma once

#include <optional>
#include <utility>

#include "control/message.h"

namespace berth {

// Both ends of a connection; an error names the system's reason.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair();

// Has the kernel say with each packet that comes who sent it (Message::sender), at a listener for those it accepts.
Result<bool> tell_senders(int socket);

class Channel {
  public:
    explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}
    int fd() const { return socket_.get(); }
    UniqueFd release() { return std::move(socket_); }

    // Sends without waiting. An error of ret BERTH_RET_BUSY: the peer does not read and the socket is full.
    Result<bool> send(const Message &message);

    enum class Got { Message, Nothing, End };
    struct Received {
        Got got;
        std::optional<Message> message; // with Got::Message
    };
    // Takes one message if there is one (flags: MSG_DONTWAIT, or 0 to wait). An error of ret BERTH_RET_PROTOCOL: the
    // packet cannot be; the text says why.
    Result<Received> receive(int flags);

  private:
    UniqueFd socket_;
};

} // namespace berth
