#include "control/message.h"

#include <cstring>

namespace berth {

Message &Message::with(berth_control_key key, uint64_t number) {
    berth_control_set_uint(&raw_, key, number);
    return *this;
}

Message &Message::with_text(berth_control_key key, std::string_view text) {
    auto &copy = owned_.emplace_back(text.begin(), text.end());
    berth_control_set_text(&raw_, key, reinterpret_cast<const char *>(copy.data()), copy.size());
    return *this;
}

Message &Message::with_bytes(berth_control_key key, std::string_view bytes) {
    auto &copy = owned_.emplace_back(bytes.begin(), bytes.end());
    berth_control_set_bytes(&raw_, key, copy.data(), copy.size());
    return *this;
}

Message &Message::with_fd(UniqueFd fd) {
    fds_.push_back(std::move(fd));
    return *this;
}

std::string_view Message::text(berth_control_key key) const {
    const auto &field = raw_.fields[key];
    return {reinterpret_cast<const char *>(field.data), field.len};
}

Result<std::vector<uint8_t>> Message::encode() const {
    static thread_local uint8_t packet[BERTH_CONTROL_MAX_PACKET];
    long size = berth_control_encode(&raw_, packet, sizeof packet);
    if (size < 0)
        return Error{1, std::string(type_name()) + " cannot be encoded: " + std::strerror(static_cast<int>(-size))};
    return std::vector<uint8_t>(packet, packet + size);
}

Result<Message> Message::decode(std::vector<uint8_t> packet, std::vector<UniqueFd> fds) {
    char why[160];
    Message message;
    message.owned_.push_back(std::move(packet));
    message.fds_ = std::move(fds);
    const auto &bytes = message.owned_.back();
    if (berth_control_decode(bytes.data(), bytes.size(), static_cast<uint32_t>(message.fds_.size()), &message.raw_,
                             why, sizeof why) != 0)
        return Error{14, why};
    return message;
}

} // namespace berth
