#include "supervisor/host_rights.h"

#include <fmt/format.h>
#include <poll.h>

namespace berth {

std::string HostRights::changed(const std::optional<Message::Sender> &sender, int pidfd) {
    const Identity &was = connected_.identity;
    if (!sender || sender->pid <= 0)
        return "who asks cannot be told";
    if (sender->pid != connected_.pid)
        return fmt::format("pid {} connected, and pid {} asks", connected_.pid, sender->pid);
    if (sender->uid != was.uid || sender->gid != was.gid)
        return fmt::format("it connected as uid {}, gid {}, and asks as uid {}, gid {}", was.uid, was.gid, sender->uid,
                           sender->gid);
    return reads_groups() ? changed_groups(*sender, pidfd) : std::string();
}

// Where nothing is to be read, for want of a /proc, the host is believed to be what it was.
std::string HostRights::changed_groups(const Message::Sender &sender, int pidfd) {
    auto status = read_process_status(connected_.pid);
    pollfd end{pidfd, POLLIN, 0};
    if (::poll(&end, 1, 0) != 0)
        return "it has ended";
    if (!status)
        return {};
    auto ids = parse_process_ids(*status);
    if (!ids)
        return "its groups cannot be told: " + ids.error().text;
    if (effective_uid(*ids) != sender.uid || effective_gid(*ids) != sender.gid)
        return {}; // a thread with ids of its own: those of the first thread say nothing of it
    if (ids->groups == connected_.identity.groups) {
        groups_may_change_ = parse_may_change_groups(*status);
        return {};
    }
    return fmt::format("it connected with {}, and has {}", describe(connected_.identity.groups),
                       describe(ids->groups));
}

} // namespace berth
