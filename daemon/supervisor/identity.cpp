#include "supervisor/identity.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth {
namespace {

constexpr size_t kMostTold = 16;          // groups in a text
constexpr size_t kMostStatus = 64 * 1024; // of /proc/PID/status: kMostGroups with ten digits each, and the rest
constexpr size_t kIdsOfAProcess = 4;      // of a user, of a group
constexpr size_t kEffective = 1;          // among those
constexpr int kPeerPidfd = 77;            // SO_PEERPIDFD, which older headers do not have

Error too_many(size_t count) {
    return Error{1, fmt::format("it is in {} supplementary groups, at most {} are taken", count, kMostGroups)};
}

Result<std::vector<gid_t>> peer_groups(int socket) {
    std::vector<gid_t> groups(kMostGroups);
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) {
        if (errno == ERANGE) // and `size` says how much there is
            return too_many(size / sizeof(gid_t));
        return Error{1, fmt::format("SO_PEERGROUPS: {}", std::strerror(errno))};
    }
    groups.resize(size / sizeof(gid_t));
    return groups;
}

GroupSet own_groups() {
    int count = ::getgroups(0, nullptr);
    std::vector<gid_t> groups(static_cast<size_t>(std::max(count, 0)));
    count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    groups.resize(static_cast<size_t>(std::max(count, 0)));
    return GroupSet(std::move(groups));
}

bool has_right_to_change_identity() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0)
        return false;
    auto has = [&](unsigned capability) {
        return (sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
    };
    return has(CAP_SETUID) && has(CAP_SETGID) && has(CAP_KILL);
}

// The numbers of one line.
Result<std::vector<uint32_t>> numbers_of(std::string_view status, std::string_view name) {
    auto bad = [&] { return Error{1, fmt::format("its status has no whole line of numbers \"{}\"", name)}; };
    size_t at = status.find(fmt::format("\n{}", name)), end = status.find('\n', at == status.npos ? at : at + 1);
    if (end == status.npos)
        return bad();
    std::string_view line = status.substr(at + 1 + name.size(), end - at - 1 - name.size());
    std::vector<uint32_t> numbers;
    for (size_t start; (start = line.find_first_not_of(" \t")) != line.npos;) {
        line.remove_prefix(start);
        uint32_t number = 0;
        auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), number);
        if (error != std::errc())
            return bad();
        numbers.push_back(number);
        line.remove_prefix(static_cast<size_t>(rest - line.data()));
    }
    return numbers;
}

} // namespace

Result<Identity> make_identity(uid_t uid, gid_t gid, std::vector<gid_t> groups) {
    // setresuid and setresgid take these for "as it is".
    if (uid == static_cast<uid_t>(-1) || gid == static_cast<gid_t>(-1))
        return Error{1, "it has no user, or no group"};
    if (groups.size() > kMostGroups)
        return too_many(groups.size());
    return Identity{uid, gid, GroupSet(std::move(groups))};
}

std::string describe(const Identity &identity) {
    return fmt::format("uid {}, gid {}, {}", identity.uid, identity.gid, describe(identity.groups));
}

std::string describe(const GroupSet &set) {
    const auto &groups = set.sorted();
    std::string text = groups.empty() ? "no groups" : "groups";
    for (size_t i = 0; i < std::min(groups.size(), kMostTold); i++)
        text += fmt::format(" {}", groups[i]);
    if (groups.size() > kMostTold)
        text += fmt::format(" and {} more", groups.size() - kMostTold);
    return text;
}

bool may_see(const Identity &viewer, const Identity &subject) {
    if (viewer.uid != subject.uid)
        return viewer.uid == 0;
    auto has = [&](gid_t group) {
        const auto &groups = viewer.groups.sorted();
        return group == viewer.gid || std::binary_search(groups.begin(), groups.end(), group);
    };
    const auto &needed = subject.groups.sorted();
    return viewer.uid == 0 || (has(subject.gid) && std::all_of(needed.begin(), needed.end(), has));
}

Result<Credentials> peer_credentials(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return Error{1, fmt::format("SO_PEERCRED: {}", std::strerror(errno))};
    auto groups = peer_groups(socket);
    if (!groups)
        return groups.error();
    auto identity = make_identity(peer.uid, peer.gid, std::move(*groups));
    if (!identity)
        return identity.error();
    return Credentials{peer.pid, std::move(*identity)};
}

Result<UniqueFd> peer_pidfd(int socket, pid_t pid) {
    int fd = -1;
    socklen_t size = sizeof fd;
    if (::getsockopt(socket, SOL_SOCKET, kPeerPidfd, &fd, &size) == 0)
        return UniqueFd(fd);
    if (errno != ENOPROTOOPT)
        return Error{1, fmt::format("SO_PEERPIDFD of pid {}: {}", pid, std::strerror(errno))};
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd)
        return Error{1, fmt::format("pidfd_open of pid {}: {}", pid, std::strerror(errno))};
    return pidfd;
}

// In this order: while the process behind the pidfd lives, its pid and what /proc says of that are its own.
bool acts_as(int pidfd, pid_t pid, uid_t uid) {
    auto ids = read_process_ids(pid);
    pollfd end{pidfd, POLLIN, 0};
    return ids && effective_uid(*ids) == uid && ::poll(&end, 1, 0) == 0;
}

const Identity &own_identity() {
    static const Identity own{::geteuid(), ::getegid(), own_groups()};
    return own;
}

bool may_change_identity() {
    static const bool may = has_right_to_change_identity();
    return may;
}

uid_t effective_uid(const ProcessIds &ids) { return ids.uids[kEffective]; }
gid_t effective_gid(const ProcessIds &ids) { return ids.gids[kEffective]; }

Result<ProcessIds> parse_process_ids(std::string_view status) {
    auto uids = numbers_of(status, "Uid:"), gids = numbers_of(status, "Gid:");
    auto groups = numbers_of(status, "Groups:");
    for (const auto *line : {&uids, &gids, &groups})
        if (!*line)
            return line->error();
    if (uids->size() != kIdsOfAProcess || gids->size() != kIdsOfAProcess)
        return Error{1, "its status has not four ids of a user and of a group"};
    return ProcessIds{std::move(*uids), std::move(*gids), GroupSet(std::move(*groups))};
}

bool parse_may_change_groups(std::string_view status) {
    constexpr std::string_view kLine = "\nCapPrm:\t";
    size_t at = status.find(kLine);
    uint64_t permitted = 0;
    if (at == status.npos)
        return true;
    status.remove_prefix(at + kLine.size());
    auto error = std::from_chars(status.data(), status.data() + status.size(), permitted, 16).ec;
    return error != std::errc() || (permitted >> CAP_SETGID & 1) != 0;
}

Result<std::string> read_process_status(pid_t pid) {
    UniqueFd fd(::open(fmt::format("/proc/{}/status", pid).c_str(), O_RDONLY | O_CLOEXEC));
    static thread_local std::string text(kMostStatus, '\0');
    size_t size = 0;
    for (ssize_t got = 1; fd && got > 0 && size < text.size(); size += static_cast<size_t>(std::max<ssize_t>(got, 0)))
        got = ::read(fd.get(), text.data() + size, text.size() - size);
    if (size == 0)
        return Error{1, "its status cannot be read"};
    return text.substr(0, size);
}

Result<ProcessIds> read_process_ids(pid_t pid) {
    auto status = read_process_status(pid);
    if (!status)
        return status.error();
    return parse_process_ids(*status);
}

ProcessIds ids_of(const Identity &identity) {
    if (identity == own_identity())
        if (auto own = read_process_ids(::getpid()))
            return *own;
    return {std::vector<uid_t>(kIdsOfAProcess, identity.uid), std::vector<gid_t>(kIdsOfAProcess, identity.gid),
            identity.groups};
}

} // namespace berth
