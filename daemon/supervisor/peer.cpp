#include "supervisor/peer.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include "supervisor/log.h"
#include "supervisor/rets.h"

namespace berth {
namespace {
constexpr int kMessagesInAll = 4096; // more than a socket holds
} // namespace

Peer::Peer(uv_loop_t *loop, UniqueFd socket, PeerHandler &handler) : handler_(handler), channel_(std::move(socket)) {
    poller_ = std::make_unique<Poller>(loop, channel_->fd(), [this](int events) { ready(events); });
}

void Peer::ready(int events) {
    if (!cut_off_.empty())
        return gone(cut_off_);
    if (events & UV_WRITABLE)
        flush();
    if (events & (UV_READABLE | UV_DISCONNECT)) // the loop comes back for the next message, and mostly there is none
        take_one();
}

// False when nothing more is to be had.
bool Peer::take_one() {
    if (!channel_)
        return false;
    auto received = channel_->receive(MSG_DONTWAIT);
    if (!received) {
        gone(received.error().text);
        return false;
    }
    if (received->got == Channel::Got::End)
        gone("");
    if (received->got != Channel::Got::Message)
        return false;
    handler_.on_message(std::move(*received->message));
    return true;
}

void Peer::drain() {
    for (int i = 0; i < kMessagesInAll && take_one(); i++) {
    }
}

void Peer::send(Message message) {
    if (!channel_ || !cut_off_.empty())
        return;
    if (!queue_.empty())
        return queue(std::move(message));
    auto sent = channel_->send(message);
    if (sent)
        return;
    if (sent.error().ret == kRetBusy)
        return queue(std::move(message));
    // What the peer wrote before it went is still to be read; the end of the connection comes after it.
    log::debug("{}", sent.error().text);
    ::shutdown(channel_->fd(), SHUT_RDWR);
}

void Peer::queue(Message message) {
    auto packet = message.encode();
    size_t size = packet ? packet->size() : 0;
    if (queue_.size() >= kMaxQueued || queued_bytes_ + size > kMaxQueuedBytes)
        return cut_off(fmt::format("it does not read: {} messages of {} bytes wait", queue_.size(), queued_bytes_));
    queued_bytes_ += size;
    queue_.emplace_back(std::move(message), size);
    poller_->want(UV_READABLE | UV_WRITABLE);
}

void Peer::flush() {
    while (channel_ && !queue_.empty()) {
        auto sent = channel_->send(queue_.front().first);
        if (!sent && sent.error().ret == kRetBusy)
            return;
        queued_bytes_ -= queue_.front().second;
        queue_.pop_front();
        if (!sent)
            ::shutdown(channel_->fd(), SHUT_RDWR);
    }
    if (channel_)
        poller_->want(UV_READABLE);
}

// A shut socket shows as readable, and the loop comes by.
void Peer::cut_off(const std::string &why) {
    cut_off_ = why;
    ::shutdown(channel_->fd(), SHUT_RDWR);
}

void Peer::gone(const std::string &why) {
    close();
    handler_.on_gone(why);
}

UniqueFd Peer::release() {
    UniqueFd socket = channel_ ? channel_->release() : UniqueFd();
    close();
    return socket;
}

void Peer::close() {
    poller_.reset();
    channel_.reset();
    queue_.clear();
    queued_bytes_ = 0;
}

} // namespace berth
