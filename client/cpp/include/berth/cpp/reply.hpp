// An answer's payload.
#ifndef BERTH_CPP_REPLY_HPP
#define BERTH_CPP_REPLY_HPP

#include "bytes.hpp"

#include <berth/berth.h>
#include <functional>
#include <memory>

namespace berth {

// Owns a payload: move-only, empty once moved from. Views of it are invalid when it is moved, as small payloads stand
// in the object itself.
class Reply {
  public:
    Reply() noexcept = default;
    Reply(Reply &&other) noexcept { take(other); }
    Reply &operator=(Reply &&other) noexcept {
        if (this != &other) {
            berth_reply_free(&raw_);
            take(other);
        }
        return *this;
    }
    ~Reply() { berth_reply_free(&raw_); }

    static Reply copy_of(Bytes bytes) {
        Reply reply;
        reply.copy_.reset(new std::uint8_t[bytes.size() + 1]);
        if (!bytes.empty())
            std::memcpy(reply.copy_.get(), bytes.data(), bytes.size());
        reply.raw_.data = reply.copy_.get();
        reply.raw_.len = bytes.size();
        return reply;
    }

    Bytes bytes() const noexcept { return {raw_.data, raw_.len}; }
    const std::uint8_t *data() const noexcept { return raw_.data; }
    std::size_t size() const noexcept { return raw_.len; }
    std::string_view text() const noexcept { return bytes().text(); }

    // For berth.h's functions to fill: one time, while it is empty.
    berth_reply *raw() noexcept { return &raw_; }

  private:
    bool stands_within() const noexcept {
        auto *first = reinterpret_cast<const std::uint8_t *>(&raw_);
        std::less<const std::uint8_t *> before;
        return raw_.data && !before(raw_.data, first) && before(raw_.data, first + sizeof raw_);
    }
    // A copy's `data` still points into the first.
    void take(Reply &other) noexcept {
        raw_ = other.raw_;
        if (other.stands_within())
            raw_.data = reinterpret_cast<const std::uint8_t *>(&raw_) +
                        (other.raw_.data - reinterpret_cast<const std::uint8_t *>(&other.raw_));
        copy_ = std::move(other.copy_);
        other.raw_ = berth_reply{};
    }

    berth_reply raw_{};
    std::unique_ptr<std::uint8_t[]> copy_; // of an answer that came by callback
};

} // namespace berth

#endif
