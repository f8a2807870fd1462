// 64 bytes over a unix socket pair: what a host would use without berth.
#include <sys/socket.h>

#include "base/unique_fd.h"
#include "bench/child.h"
#include "bench/limits.h"
#include "bench/pinned.h"
#include "bench/timing.h"

namespace berth::cli {
namespace {

constexpr size_t kMessage = 64;

class SocketPair : public SocketLimit {
  public:
    SocketPair() : ends_(), child_([this] { serve(); }) { ends_.peer.reset(); }

    void back_to_back(Histogram &samples, uint64_t duration_ns) override {
        Pinned here(End::Ours);
        time_back_to_back(samples, duration_ns, [this] { trip(); });
    }

    void paced(Histogram &samples, int count, uint64_t pause) override {
        Pinned here(End::Ours);
        time_paced(samples, count, pause, [this] { trip(); });
    }

    double pipelined_per_s(int depth, uint64_t duration_ns) override {
        Pinned here(End::Ours);
        for (int i = 0; i < depth; i++)
            put(ends_.ours);
        double rate = rate_per_s(duration_ns, [this] {
            for (int i = 0; i < kBatch; i++)
                take_and_put(ends_.ours);
            return kBatch;
        });
        for (int i = 0; i < depth; i++)
            take(ends_.ours);
        return rate;
    }

  private:
    static constexpr int kBatch = 64; // round trips between two looks at the clock

    struct Ends {
        UniqueFd ours, peer;
        Ends() {
            int fds[2];
            if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
                throw std::runtime_error("socketpair failed");
            ours.reset(fds[0]);
            peer.reset(fds[1]);
            // Room for the deepest pipeline; the kernel takes what it allows.
            int room = 1 << 20;
            for (int fd : fds)
                setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        }
    };

    void put(const UniqueFd &fd) {
        if (send(fd.get(), buffer_, kMessage, MSG_NOSIGNAL) != static_cast<ssize_t>(kMessage))
            throw std::runtime_error("send on a socket pair failed");
    }
    void take(const UniqueFd &fd) {
        if (recv(fd.get(), buffer_, kMessage, 0) != static_cast<ssize_t>(kMessage))
            throw std::runtime_error("recv on a socket pair failed");
    }
    void take_and_put(const UniqueFd &fd) {
        take(fd);
        put(fd);
    }
    void trip() {
        put(ends_.ours);
        take(ends_.ours);
    }

    void serve() {
        Pinned there(End::Peer);
        ends_.ours.reset();
        try {
            for (;;)
                take_and_put(ends_.peer);
        } catch (const std::runtime_error &) { // the other end is gone
        }
    }

    Ends ends_;
    uint8_t buffer_[kMessage] = {};
    Child child_; // last: it starts with the rest in place
};

} // namespace

std::unique_ptr<SocketLimit> make_socket_limit() { return std::make_unique<SocketPair>(); }

} // namespace berth::cli
