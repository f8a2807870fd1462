#include "worker/wakeups.h"

#include <cerrno>
#include <cstdint>
#include <sys/socket.h>
#include <unistd.h>

namespace berth {
namespace {

constexpr int kMostReads = 16;
constexpr int kProtocol = 14;

int socket_option(int fd, int option) {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

} // namespace

// Other families have locks that another process can hold for long.
Result<Wakeups> Wakeups::by_socket(UniqueFd socket) {
    if (socket_option(socket.get(), SO_DOMAIN) != AF_UNIX || socket_option(socket.get(), SO_TYPE) != SOCK_STREAM)
        return Error{kProtocol, "its wake socket is none"};
    return Wakeups(std::move(socket), UniqueFd());
}

Wakeups Wakeups::by_eventfds(UniqueFd host, UniqueFd doorbell) { return Wakeups(std::move(host), std::move(doorbell)); }

// Full: readable anyway.
void Wakeups::wake_host() const {
    uint64_t one = 1;
    if (is_socket())
        (void)!::send(host_.get(), "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    else
        (void)!::write(host_.get(), &one, sizeof one);
}

bool Wakeups::clear_doorbell() const {
    char bytes[256];
    if (!is_socket()) {
        while (::read(doorbell_.get(), bytes, sizeof bytes) < 0 && errno == EINTR) {
        }
        return true;
    }
    for (int i = 0; i < kMostReads; i++) {
        ssize_t got = ::recv(host_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
        if (got == 0)
            return false;
        if (got < 0 && errno != EINTR)
            return errno == EAGAIN;
    }
    return true;
}

} // namespace berth
