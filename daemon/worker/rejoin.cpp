#include "worker/rejoin.h"

#include <algorithm>
#include <cstring>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace berth {
namespace {

constexpr uint64_t kFirstMs = 50;
constexpr uint64_t kMostMs = 1000;
constexpr uint64_t kMostRejectedMs = 60'000;

std::optional<uid_t> uid_of_peer(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return std::nullopt;
    return peer.uid;
}

} // namespace

Rejoin::Rejoin(std::string path, int control) : path_(std::move(path)), uid_(uid_of_peer(control)) {}

// With a quarter more or less, so that a thousand workers do not knock in step.
void Rejoin::plan(uint64_t now_ns, uint64_t most_ms, unsigned doublings) {
    uint16_t random = 0;
    (void)!::getrandom(&random, sizeof random, GRND_NONBLOCK);
    uint64_t ms = std::min(most_ms, kFirstMs << std::min(doublings, 16u));
    due_ns_ = now_ns + ms * (750'000 + random % 500'000);
}

void Rejoin::supervisor_lost(uint64_t now_ns) {
    if (path_.empty() || !uid_)
        return;
    plan(now_ns, kMostRejectedMs, rejections_++);
}

UniqueFd Rejoin::try_connect(uint64_t now_ns) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    due_ns_.reset();
    if (path_.size() >= sizeof address.sun_path)
        return UniqueFd();
    std::memcpy(address.sun_path, path_.data(), path_.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    bool connected =
        socket && ::connect(socket.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0;
    auto uid = connected ? uid_of_peer(socket.get()) : std::nullopt;
    if (uid && (*uid == 0 || *uid == *uid_)) {
        failures_ = 0;
        return socket;
    }
    plan(now_ns, kMostMs, ++failures_);
    return UniqueFd();
}

} // namespace berth
