// One connected host: its identity, its side of the conversation, and the watch over its life.
#pragma once

#include <memory>
#include <string>
#include <sys/types.h>

#include "supervisor/context_book.h"
#include "supervisor/host_rights.h"
#include "supervisor/peer.h"

namespace berth {

class Host;

class HostOwner {
  public:
    virtual void on_open(Host &host, Message open) = 0;
    virtual void on_closing(Host &host, ContextId context, uint64_t timeout_ms) = 0;
    virtual void on_rejoin(Host &host, const Message &rejoin) = 0;
    // It is a worker, not a host: the owner takes the connection over, and lets go of the host.
    virtual void on_worker_came_back(Host &host, Message message) = 0;
    virtual void on_status(Host &host, uint64_t seq) = 0;
    virtual void on_crashes(Host &host, uint64_t seq) = 0;
    virtual void on_reset(Host &host, uint64_t seq, const std::string &module) = 0;
    // Comes once, last; `why` is empty when the host left of its own accord.
    virtual void on_host_gone(Host &host, const std::string &why) = 0;

  protected:
    ~HostOwner() = default;
};

class Host : private PeerHandler {
  public:
    // Takes over a connected socket. An error: the peer is gone already, or cannot be identified; one whose ids or
    // groups cannot be is told so.
    static Result<std::unique_ptr<Host>> adopt(uv_loop_t *loop, UniqueFd socket, HostOwner &owner);

    const Credentials &credentials() const { return rights_.connected(); }
    pid_t pid() const { return credentials().pid; }
    const Identity &identity() const { return credentials().identity; }
    uid_t uid() const { return identity().uid; }
    int pidfd() const { return pidfd_.get(); }
    const std::string &name() const { return name_; }
    ContextBook &contexts() { return contexts_; }

    void send(Message message) { peer_.send(std::move(message)); }
    void refuse(uint64_t seq, int ret, const std::string &text);
    // Ends the connection; the owner hears on_host_gone before this returns.
    void disconnect(const std::string &why);

    // Ends it without a word to the owner.
    struct Connection {
        UniqueFd socket, pidfd;
    };
    Connection hand_over();

    size_t opens_pending = 0; // kept by the pool

  private:
    Host(uv_loop_t *loop, UniqueFd socket, UniqueFd pidfd, Credentials credentials, HostOwner &owner);
    void on_message(Message message) override;
    void on_gone(const std::string &why) override;
    void greet(const Message &hello);
    bool has_changed(const Message &request);
    void closing(ContextId id, uint64_t timeout_ms);

    HostOwner &owner_;
    HostRights rights_;
    UniqueFd pidfd_;
    std::unique_ptr<Poller> death_; // after the pidfd
    Peer peer_;
    std::string name_; // as it calls itself; empty before hello
    bool welcomed_ = false;
    bool gone_ = false;
    bool change_told_ = false; // in the log
    ContextBook contexts_;
};

// For a search among hosts: those of this identity, which must outlive it.
inline auto is_of(const Identity &identity) {
    return [&identity](const Host &host) { return host.identity() == identity; };
}

} // namespace berth
