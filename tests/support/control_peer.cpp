#include "control_peer.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "processes.h"

namespace berth::test {
namespace {

int connected(const std::string &path) {
    int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0)
        return fd;
    ::close(fd);
    return -1;
}

std::string encoded(const berth_control_message &message) {
    std::string out(BERTH_CONTROL_MAX_PACKET, '\0');
    long len = berth_control_encode(&message, reinterpret_cast<uint8_t *>(out.data()), out.size());
    out.resize(len > 0 ? static_cast<size_t>(len) : 0);
    return out;
}

} // namespace

ControlPeer::ControlPeer(const std::string &socket) : fd_(connected(socket)) {}
ControlPeer::~ControlPeer() { ::close(fd_); }

bool ControlPeer::can_connect(const std::string &socket) {
    int fd = connected(socket);
    if (fd >= 0)
        ::close(fd);
    return fd >= 0;
}

bool ControlPeer::send(const std::string &packet, const std::vector<int> &fds) {
    iovec part{const_cast<char *>(packet.data()), packet.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(253 * sizeof(int)) + CMSG_SPACE(sizeof(ucred))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    auto add = [&](int type, const void *data, size_t size) {
        auto *head = reinterpret_cast<cmsghdr *>(control + message.msg_controllen);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = type;
        head->cmsg_len = CMSG_LEN(size);
        std::memcpy(CMSG_DATA(head), data, size);
        message.msg_controllen += CMSG_SPACE(size);
    };
    if (!fds.empty())
        add(SCM_RIGHTS, fds.data(), fds.size() * sizeof(int));
    if (speaker_)
        add(SCM_CREDENTIALS, &*speaker_, sizeof *speaker_);
    return ::sendmsg(fd_, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(packet.size());
}

bool ControlPeer::send(const berth_control_message &message, const std::vector<int> &fds) {
    return send(encoded(message), fds);
}

berth_control_message ControlPeer::Packet::message() const {
    berth_control_message message;
    char why[160];
    if (berth_control_decode(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(),
                             static_cast<uint32_t>(fds.size()), &message, why, sizeof why) != 0)
        message.type = 0;
    return message;
}

ControlPeer::Packet ControlPeer::receive() {
    Packet packet;
    pollfd poll{fd_, POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(std::chrono::milliseconds(kHangBound).count())) <= 0)
        return packet;
    std::string bytes(BERTH_CONTROL_MAX_PACKET, '\0');
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t got = ::recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
    packet.end = got <= 0;
    packet.bytes = bytes.substr(0, got > 0 ? static_cast<size_t>(got) : 0);
    cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (head && head->cmsg_type == SCM_RIGHTS) {
        packet.fds.resize((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        std::memcpy(packet.fds.data(), CMSG_DATA(head), packet.fds.size() * sizeof(int));
    }
    return packet;
}

bool ControlPeer::cut_off() {
    for (;;) {
        Packet packet = receive();
        for (int fd : packet.fds)
            ::close(fd);
        if (packet.end || packet.bytes.empty())
            return packet.end;
    }
}

bool ControlPeer::greet() {
    berth_control_message hello;
    berth_control_init(&hello, BERTH_MSG_HELLO);
    berth_control_set_uint(&hello, BERTH_KEY_VERSION_MIN, 1);
    berth_control_set_uint(&hello, BERTH_KEY_VERSION_MAX, 1);
    berth_control_set_text(&hello, BERTH_KEY_NAME, "hostile", 7);
    return send(encoded(hello)) && !receive().bytes.empty();
}

bool ControlPeer::open(unsigned seq, const std::string &module, const std::vector<int> &fds) {
    berth_control_message message;
    berth_control_init(&message, BERTH_MSG_OPEN);
    berth_control_set_uint(&message, BERTH_KEY_SEQ, seq);
    berth_control_set_text(&message, BERTH_KEY_MODULE, module.data(), module.size());
    return send(encoded(message), fds);
}

} // namespace berth::test
