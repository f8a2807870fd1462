#include "control/channel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace berth {
namespace {

constexpr size_t kMaxFds = BERTH_CONTROL_MAX_FDS;
constexpr int kBusy = 7, kProtocol = 14, kUnavailable = 12;

std::vector<UniqueFd> descriptors(msghdr &header) {
    std::vector<UniqueFd> fds;
    for (cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            fds.emplace_back(fd);
        }
    }
    return fds;
}

void note_sender(msghdr &header, Message &message) {
    for (cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
            continue;
        ucred ids;
        std::memcpy(&ids, CMSG_DATA(c), sizeof ids);
        message.set_sender({ids.pid, ids.uid, ids.gid});
    }
}

} // namespace

Result<std::pair<UniqueFd, UniqueFd>> socket_pair() {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return Error{1, std::string("socketpair: ") + std::strerror(errno)};
    return std::make_pair(UniqueFd(pair[0]), UniqueFd(pair[1]));
}

Result<bool> tell_senders(int socket) {
    int yes = 1;
    if (::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0)
        return Error{1, std::string("SO_PASSCRED: ") + std::strerror(errno)};
    return true;
}

Result<bool> Channel::send(const Message &message) {
    auto packet = message.encode();
    if (!packet)
        return packet.error();
    if (!message.needed_fds())
        return Error{kProtocol, std::string(message.type_name()) + " with a wrong number of descriptors"};
    iovec body{packet->data(), packet->size()};
    alignas(cmsghdr) char room[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &body;
    header.msg_iovlen = 1;
    if (size_t count = message.fds().size()) {
        header.msg_control = room;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        int numbers[kMaxFds] = {};
        for (size_t i = 0; i < count && i < kMaxFds; i++)
            numbers[i] = message.fds()[i].get();
        std::memcpy(CMSG_DATA(c), numbers, std::min(count, kMaxFds) * sizeof(int));
    }
    ssize_t sent;
    do
        sent = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return Error{errno == EAGAIN ? kBusy : kUnavailable,
                     std::string("sending ") + message.type_name() + ": " + std::strerror(errno)};
    return true;
}

Result<Channel::Received> Channel::receive(int flags) {
    static thread_local uint8_t packet[BERTH_CONTROL_MAX_PACKET];
    iovec body{packet, sizeof packet};
    // Room for one descriptor too many, so that a packet with too many is seen for what it is.
    alignas(cmsghdr) char room[CMSG_SPACE((kMaxFds + 1) * sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
    msghdr header{};
    header.msg_iov = &body;
    header.msg_iovlen = 1;
    header.msg_control = room;
    header.msg_controllen = sizeof room;
    ssize_t size;
    do
        size = ::recvmsg(socket_.get(), &header, flags | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return Received{Got::Nothing, std::nullopt};
    if (size < 0)
        return Received{Got::End, std::nullopt};
    auto fds = descriptors(header); // an empty packet can bring some too: taken, so that they are closed
    if (size == 0)
        return Received{Got::End, std::nullopt};
    if (header.msg_flags & MSG_TRUNC)
        return Error{kProtocol, "a packet of more than 65536 bytes"};
    if (header.msg_flags & MSG_CTRUNC)
        return Error{kProtocol, "a packet with too many descriptors"};
    auto message = Message::decode(std::vector<uint8_t>(packet, packet + size), std::move(fds));
    if (!message)
        return message.error();
    note_sender(header, *message);
    return Received{Got::Message, std::move(*message)};
}

} // namespace berth
