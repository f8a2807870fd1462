// Who a process is to the kernel's permission checks: user, group and supplementary groups, all three. Two hosts of one
// user that differ in a group have not the same rights, so no process is lent from one to the other.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/group_set.h"

namespace berth {

struct Identity {
    uid_t uid = 0;
    gid_t gid = 0;
    GroupSet groups = {};

    auto operator<=>(const Identity &) const = default;
};

// A process in any number of groups may cost the daemon that much memory for each connection; nobody is in so many.
constexpr size_t kMostGroups = 4096;

// An error when there are more than kMostGroups, or an id is none.
Result<Identity> make_identity(uid_t uid, gid_t gid, std::vector<gid_t> groups);

// "uid 1000, gid 1000, groups 27 1000": for people, who are told of some groups and how many more there are.
std::string describe(const Identity &identity);
std::string describe(const GroupSet &groups);

// Whether `viewer` may see what a process of `subject` left behind: the same user, with all its groups at least.
bool may_see(const Identity &viewer, const Identity &subject);

struct Credentials {
    pid_t pid = 0;
    Identity identity = {};
};
// Of whoever connected this socket, or made the pair, as they were at that moment.
Result<Credentials> peer_credentials(int socket);
// A pidfd of that process. Where the kernel does not keep one with the socket (before 6.5) it is opened by pid, which may
// be another's by now.
Result<UniqueFd> peer_pidfd(int socket, pid_t pid);
// Whether the process behind `pidfd`, of this pid, lives and acts as that user. So its pid is not another user's.
bool acts_as(int pidfd, pid_t pid, uid_t uid);

// This process's own, by which files are opened: the effective ones. Read once.
const Identity &own_identity();
// Whether this process may start others as anybody, and end them. Looked up once, too.
bool may_change_identity();

// The ids of a process as its /proc/PID/status has them.
struct ProcessIds {
    std::vector<uid_t> uids = {}; // real, effective, saved, of files
    std::vector<gid_t> gids = {};
    GroupSet groups = {};

    bool operator==(const ProcessIds &) const = default;
};
uid_t effective_uid(const ProcessIds &ids);
gid_t effective_gid(const ProcessIds &ids);
// An error when a line is missing, cut off or not of numbers.
Result<ProcessIds> parse_process_ids(std::string_view status);
Result<ProcessIds> read_process_ids(pid_t pid);
// Whether it could change its groups (CAP_SETGID is permitted). True when that is not to be told.
bool parse_may_change_groups(std::string_view status);
Result<std::string> read_process_status(pid_t pid);
// What a process has that was started with this identity. This process's own is handed down as it stands: a set-uid
// host's supervisor has a real user that is not the effective one.
ProcessIds ids_of(const Identity &identity);

} // namespace berth
