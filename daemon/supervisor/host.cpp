#include "supervisor/host.h"

#include <algorithm>
#include <fmt/format.h>
#include <sys/socket.h>
#include <utility>

#include "kill_point.h"
#include "supervisor/log.h"
#include "supervisor/log_lines.h"
#include "supervisor/rets.h"
#include "supervisor/version.h"

namespace berth {
namespace {
constexpr uint64_t kMaxTimeoutMs = 3'600'000;
constexpr uint64_t kClosedBoundMs = 5000; // from a worker's CLOSED to its recycled

bool goes_by_rights(uint32_t request) {
    return request == BERTH_MSG_OPEN || request == BERTH_MSG_STATUS || request == BERTH_MSG_CRASHES ||
           request == BERTH_MSG_RESET;
}

// In the welcome's place; there is no host yet that could be told.
void tell_refused(UniqueFd socket, const Error &why) {
    (void)Channel(std::move(socket)).send(Message(BERTH_MSG_REFUSED)
                                        .with(BERTH_KEY_SEQ, 0)
                                        .with(BERTH_KEY_RET, static_cast<uint64_t>(kRetDenied))
                                        .with_text(BERTH_KEY_TEXT, "who you are cannot be told: " + why.text));
}

} // namespace

Result<std::unique_ptr<Host>> Host::adopt(uv_loop_t *loop, UniqueFd socket, HostOwner &owner) {
    auto peer = peer_credentials(socket.get());
    if (!peer) {
        tell_refused(std::move(socket), peer.error());
        return peer.error();
    }
    if (peer->pid <= 0)
        return Error{kRetErr, "its pid is not visible from here (another pid namespace)"};
    auto pidfd = peer_pidfd(socket.get(), peer->pid);
    if (!pidfd)
        return pidfd.error();
    auto told = tell_senders(socket.get());
    if (!told)
        return told.error();
    return std::unique_ptr<Host>(new Host(loop, std::move(socket), std::move(*pidfd), std::move(*peer), owner));
}

Host::Host(uv_loop_t *loop, UniqueFd socket, UniqueFd pidfd, Credentials credentials, HostOwner &owner)
    : owner_(owner), rights_(std::move(credentials)), pidfd_(std::move(pidfd)),
      peer_(loop, std::move(socket), *this) {
    // A forked child may hold the socket open long after the host itself is dead.
    death_ = std::make_unique<Poller>(loop, pidfd_.get(), [this](int) { on_gone(""); });
}

void Host::refuse(uint64_t seq, int ret, const std::string &text) {
    send(std::move(Message(BERTH_MSG_REFUSED)
                       .with(BERTH_KEY_SEQ, seq)
                       .with(BERTH_KEY_RET, static_cast<uint64_t>(ret))
                       .with_text(BERTH_KEY_TEXT, text)));
}

void Host::disconnect(const std::string &why) { on_gone(why); }

void Host::on_gone(const std::string &why) {
    if (gone_)
        return;
    gone_ = true;
    peer_.close();
    death_.reset();
    owner_.on_host_gone(*this, why);
}

Host::Connection Host::hand_over() {
    gone_ = true;
    death_.reset();
    UniqueFd socket = peer_.release();
    return {std::move(socket), std::move(pidfd_)};
}

void Host::greet(const Message &hello) {
    BERTH_KILL_POINT("supervisor.hello_received");
    uint64_t least = std::max<uint64_t>(hello.number(BERTH_KEY_VERSION_MIN), BERTH_CONTROL_VERSION_MIN);
    uint64_t version = std::min<uint64_t>(hello.number(BERTH_KEY_VERSION_MAX), BERTH_CONTROL_VERSION_MAX);
    if (version < least) {
        auto why = fmt::format("no common protocol version: it speaks {} to {}, this daemon {} to {}",
                               hello.number(BERTH_KEY_VERSION_MIN), hello.number(BERTH_KEY_VERSION_MAX),
                               BERTH_CONTROL_VERSION_MIN, BERTH_CONTROL_VERSION_MAX);
        refuse(0, kRetProtocol, why);
        return disconnect(why);
    }
    welcomed_ = true;
    name_ = printable(hello.text(BERTH_KEY_NAME).substr(0, 64));
    send(std::move(Message(BERTH_MSG_WELCOME)
                       .with(BERTH_KEY_VERSION, version)
                       .with_text(BERTH_KEY_NAME, kDaemonName)
                       .with(BERTH_KEY_PID, static_cast<uint64_t>(::getpid()))));
    BERTH_KILL_POINT("supervisor.welcome_sent");
}

// Then it is refused: a request is granted by the rights of whoever makes it.
bool Host::has_changed(const Message &request) {
    auto changed = rights_.changed(request.sender(), pidfd_.get());
    if (changed.empty())
        return false;
    if (!std::exchange(change_told_, true))
        log::info("host {} is refused what it asks for: {}", pid(), changed);
    refuse(request.number(BERTH_KEY_SEQ), kRetDenied,
           fmt::format("the host's rights have changed ({}): it is to connect again", changed));
    return true;
}

void Host::closing(ContextId id, uint64_t timeout_ms) {
    BERTH_KILL_POINT("supervisor.closing_received");
    switch (contexts_.closing(id)) {
    case ContextBook::Closing::Mine:
        return owner_.on_closing(*this, id, std::min(timeout_ms, kMaxTimeoutMs));
    case ContextBook::Closing::Late:
        return;
    case ContextBook::Closing::NotYours:
        return disconnect(fmt::format("it closes context {}, which is not its own", number(id)));
    }
}

void Host::on_message(Message message) {
    if (gone_)
        return;
    if (!welcomed_ && message.type() == BERTH_MSG_REJOIN_WORKER)
        return owner_.on_worker_came_back(*this, std::move(message));
    if (!welcomed_ && message.type() != BERTH_MSG_HELLO)
        return disconnect(fmt::format("{} before hello", message.type_name()));
    if (welcomed_ && message.type() == BERTH_MSG_HELLO)
        return disconnect("a second hello");
    if (message.type() == BERTH_MSG_OPEN && message.has(BERTH_KEY_CONTEXT)) {
        closing(ContextId{message.number(BERTH_KEY_CONTEXT)}, kClosedBoundMs);
        if (gone_)
            return;
    }
    if (goes_by_rights(message.type()) && has_changed(message))
        return;
    switch (message.type()) {
    case BERTH_MSG_HELLO:
        return greet(message);
    case BERTH_MSG_OPEN:
        return owner_.on_open(*this, std::move(message));
    case BERTH_MSG_CLOSING:
        return closing(ContextId{message.number(BERTH_KEY_CONTEXT)}, message.number(BERTH_KEY_TIMEOUT_MS));
    case BERTH_MSG_REJOIN:
        return owner_.on_rejoin(*this, message);
    case BERTH_MSG_STATUS:
        return owner_.on_status(*this, message.number(BERTH_KEY_SEQ));
    case BERTH_MSG_CRASHES:
        return owner_.on_crashes(*this, message.number(BERTH_KEY_SEQ));
    case BERTH_MSG_RESET:
        return owner_.on_reset(*this, message.number(BERTH_KEY_SEQ), std::string(message.text(BERTH_KEY_MODULE)));
    default:
        return disconnect(fmt::format("a host does not send {}", message.type_name()));
    }
}

} // namespace berth
