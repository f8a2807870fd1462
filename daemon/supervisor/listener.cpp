#include "supervisor/listener.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/channel.h"
#include "supervisor/log.h"

namespace berth {
namespace {

constexpr int kAcceptsPerTurn = 16;
constexpr uint64_t kPauseMs = 100;

Error failed(const std::string &what) { return Error{1, fmt::format("{}: {}", what, std::strerror(errno))}; }

Result<sockaddr_un> address_of(const std::string &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return Error{1,
                     fmt::format("'{}' cannot be a socket's path: 1 to {} bytes", path, sizeof address.sun_path - 1)};
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

UniqueFd new_socket() { return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

const sockaddr *generic(const sockaddr_un &address) { return reinterpret_cast<const sockaddr *>(&address); }

// Where a group may write, as it may by the umask of many users, no client takes the socket for ours.
void create_folder(const std::filesystem::path &folder) {
    mode_t before = ::umask(0);
    ::umask(before | 022);
    std::error_code ignored; // bind() has the better text
    std::filesystem::create_directories(folder, ignored);
    ::umask(before);
}

// Two daemons that start at once must not both find the socket stale.
UniqueFd lock_folder(const std::filesystem::path &folder) {
    UniqueFd lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
        log::debug("{} is locked by another process", folder.string());
    return lock;
}

// Whether the process that listens there lives. One that was killed while it started a worker has left its socket to a
// child that is not yet what it is to become: it is open for some milliseconds more.
bool listener_lives(int probe) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0)
        return true;
    UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
    if (!process)
        return errno != ESRCH;
    pollfd ended{process.get(), POLLIN, 0};
    return ::poll(&ended, 1, 0) == 0;
}

enum class Found { Listener, Remains, Nothing, Unknown };

Found look_for_listener(const sockaddr_un &address) {
    UniqueFd probe = new_socket();
    if (!probe)
        return Found::Unknown;
    if (::connect(probe.get(), generic(address), sizeof address) == 0)
        return listener_lives(probe.get()) ? Found::Listener : Found::Remains;
    if (errno == EAGAIN)
        return Found::Listener;
    return errno == ECONNREFUSED ? Found::Nothing : Found::Unknown;
}

constexpr int kRemainsTries = 200;
constexpr timespec kRemainsPause{0, 10'000'000};

// True: there was one.
Result<bool> clear_stale(const std::string &path, const sockaddr_un &address) {
    struct stat file;
    if (::lstat(path.c_str(), &file) != 0)
        return false;
    if (!S_ISSOCK(file.st_mode))
        return Error{1, fmt::format("{} exists and is not a socket", path)};
    auto found = look_for_listener(address);
    for (int tries = 0; found == Found::Remains && tries < kRemainsTries; tries++) {
        ::nanosleep(&kRemainsPause, nullptr);
        found = look_for_listener(address);
    }
    if (found == Found::Unknown)
        return failed(fmt::format("{} exists, and trying it failed", path));
    if (found != Found::Nothing)
        return Error{1, fmt::format("another berthd listens at {}", path)};
    log::info("replacing the stale socket {}", path);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return failed(path);
    return true;
}

} // namespace

Result<std::unique_ptr<Listener>> Listener::bind(uv_loop_t *loop, const std::string &path, bool shared,
                                                 Accepted accepted) {
    auto address = address_of(path);
    if (!address)
        return address.error();
    auto folder = std::filesystem::absolute(path).parent_path();
    create_folder(folder);
    UniqueFd lock = lock_folder(folder);
    auto cleared = clear_stale(path, *address);
    if (!cleared)
        return cleared.error();
    UniqueFd socket = new_socket();
    if (!socket)
        return failed("socket");
    mode_t before = ::umask(shared ? 0111 : 0177);
    int rc = ::bind(socket.get(), generic(*address), sizeof *address);
    ::umask(before);
    if (rc != 0 || ::listen(socket.get(), SOMAXCONN) != 0)
        return failed(path);
    std::unique_ptr<Listener> listener(new Listener(loop, std::move(socket), path, std::move(accepted)));
    struct stat file {};
    listener->follows_a_death_ = *cleared;
    listener->owns_path_ = ::lstat(path.c_str(), &file) == 0;
    listener->device_ = file.st_dev;
    listener->inode_ = file.st_ino;
    return listener;
}

std::unique_ptr<Listener> Listener::adopt(uv_loop_t *loop, UniqueFd socket, Accepted accepted) {
    ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
    sockaddr_un address{};
    socklen_t size = sizeof address;
    std::string path;
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr *>(&address), &size) == 0)
        path.assign(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path));
    return std::unique_ptr<Listener>(new Listener(loop, std::move(socket), path, std::move(accepted)));
}

Listener::Listener(uv_loop_t *loop, UniqueFd socket, std::string path, Accepted accepted)
    : accepted_(std::move(accepted)), socket_(std::move(socket)), path_(std::move(path)),
      poller_(loop, socket_.get(), [this](int) { accept(); }), pause_(loop, [this] { poller_.want(UV_READABLE); }) {
    (void)tell_senders(socket_.get()); // a host may ask before it is accepted; then it is done again, and must work
}

Listener::~Listener() {
    struct stat file;
    // Only its own: somebody may have put another in its place.
    if (owns_path_ && ::lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_)
        ::unlink(path_.c_str());
}

void Listener::accept() {
    for (int i = 0; i < kAcceptsPerTurn; i++) {
        UniqueFd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (socket) {
            accepted_(std::move(socket));
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log::error("accept: {}", std::strerror(errno));
            poller_.want(0);
            pause_.start(kPauseMs);
        }
        return;
    }
}

} // namespace berth
