// A control message with its descriptors, as C++ values. proto/control.h is the definition; this only owns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "control.h"

namespace berth {

class Message {
  public:
    explicit Message(berth_control_type type) { berth_control_init(&raw_, type); }
    Message(Message &&) = default;
    Message &operator=(Message &&) = default;

    Message &with(berth_control_key key, uint64_t number);
    // The text or bytes are copied.
    Message &with_text(berth_control_key key, std::string_view text);
    Message &with_bytes(berth_control_key key, std::string_view bytes);
    // Ownership of the descriptor passes to the message, which closes it once sent or dropped.
    Message &with_fd(UniqueFd fd);

    uint32_t type() const { return raw_.type; }
    const char *type_name() const { return berth_control_shapes[raw_.type].name; }
    bool has(berth_control_key key) const { return raw_.fields[key].kind != BERTH_FIELD_ABSENT; }
    uint64_t number(berth_control_key key) const { return raw_.fields[key].number; }
    std::string_view text(berth_control_key key) const;
    UniqueFd take_fd(size_t index) { return index < fds_.size() ? std::move(fds_[index]) : UniqueFd(); }
    const std::vector<UniqueFd> &fds() const { return fds_; }
    // Who sent it, of one received on a socket that asks for it (SO_PASSCRED): ids that the sending thread has, or
    // could take back, by its own word; without a word its real ones.
    struct Sender {
        pid_t pid;
        uid_t uid;
        gid_t gid;
    };
    const std::optional<Sender> &sender() const { return sender_; }
    void set_sender(Sender sender) { sender_ = sender; }
    // How many of them it must have: the first. None: it cannot be sent with so many. Of one received it is known.
    std::optional<size_t> needed_fds() const;

    Result<std::vector<uint8_t>> encode() const;
    static Result<Message> decode(std::vector<uint8_t> packet, std::vector<UniqueFd> fds);

  private:
    Message() = default;
    berth_control_message raw_{};
    std::vector<std::vector<uint8_t>> owned_; // what the fields of raw_ point into
    std::vector<UniqueFd> fds_;
    std::optional<Sender> sender_;
};

} // namespace berth
