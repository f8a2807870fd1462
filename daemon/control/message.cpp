#include "control/message.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "utf8.h"

namespace berth {
namespace {

bool valid(std::string_view text) {
    return berth_utf8_valid(reinterpret_cast<const uint8_t *>(text.data()), text.size());
}

// The character that heads `text`; empty when none does.
std::string_view first_character(std::string_view text) {
    for (size_t length = 1; length <= std::min<size_t>(text.size(), 4); length++)
        if (valid(text.substr(0, length)))
            return text.substr(0, length);
    return {};
}

// A library may say things in any encoding. What is no UTF-8 becomes \xNN: as text it would cost the connection.
std::string as_utf8(std::string_view text) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    while (!text.empty()) {
        std::string_view character = first_character(text);
        auto byte = static_cast<unsigned char>(text[0]);
        if (character.empty())
            out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
        else
            out += character;
        text.remove_prefix(std::max<size_t>(character.size(), 1));
    }
    return out;
}

} // namespace

Message &Message::with(berth_control_key key, uint64_t number) {
    berth_control_set_uint(&raw_, key, number);
    return *this;
}

Message &Message::with_text(berth_control_key key, std::string_view text) {
    std::string other = valid(text) ? std::string() : as_utf8(text);
    if (!other.empty())
        text = other;
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

std::optional<size_t> Message::needed_fds() const {
    int needed = berth_control_needed_fds(&raw_, static_cast<uint32_t>(fds_.size()));
    return needed < 0 ? std::nullopt : std::optional(static_cast<size_t>(needed));
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
