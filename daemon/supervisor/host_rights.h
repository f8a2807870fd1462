// Whether a host that asks for a worker still is who it was when it connected. Servers connect as root and then drop
// what they do not need: a worker with the rights of before would give it back to whoever takes them over.
#pragma once

#include <optional>
#include <string>

#include "control/message.h"
#include "supervisor/identity.h"

namespace berth {

class HostRights {
  public:
    explicit HostRights(Credentials connected) : connected_(std::move(connected)) {}
    const Credentials &connected() const { return connected_; }

    // Empty when nothing has changed; else what did, for people. User and group are those of the thread that sent the
    // message, groups those of the process, which are read only where they could make a difference: of uid 0 they do
    // not, and who had no CAP_SETGID when they were first read is taken to have them still. Another process than the one
    // that connected asks for nothing: a child that has the socket may have dropped what its parent has.
    std::string changed(const std::optional<Message::Sender> &sender, int pidfd);
    bool reads_groups() const { return connected_.identity.uid != 0 && groups_may_change_; } // at the next open

  private:
    std::string changed_groups(const Message::Sender &sender, int pidfd);

    Credentials connected_;
    bool groups_may_change_ = true; // as far as is known
};

} // namespace berth
