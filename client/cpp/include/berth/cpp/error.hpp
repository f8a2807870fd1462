// What went wrong: a berth_ret, and what was said to it.
#ifndef BERTH_CPP_ERROR_HPP
#define BERTH_CPP_ERROR_HPP

#include "cbor_map.hpp"

#include <berth/berth.h>
#include <optional>

namespace berth {

// How a worker ended, from the payload of WORKER_DIED. Neither signal nor status: no supervisor was left to tell.
struct Death {
    std::optional<int> signal;
    std::optional<int> status;
    int pid = 0;
    std::uint64_t uses = 0; // contexts that it had served, this one included; 0: unknown
    std::string last_log;   // the last lines it wrote, newlines between; may be empty

    static Death from(Bytes payload) {
        Death death;
        detail::for_each_entry(payload, [&](std::string_view key, const detail::CborValue &value) {
            if (key == "signal" && !value.is_text)
                death.signal = static_cast<int>(value.number);
            else if (key == "status" && !value.is_text)
                death.status = static_cast<int>(value.number);
            else if (key == "pid" && !value.is_text)
                death.pid = static_cast<int>(value.number);
            else if (key == "uses" && !value.is_text)
                death.uses = value.number;
            else if (key == "last_log" && value.is_text)
                death.last_log = std::string(value.text);
        });
        return death;
    }
};

class Error {
  public:
    explicit Error(int ret, Bytes payload = {}) : ret_(ret), payload_(payload.str()) {}

    int ret() const noexcept { return ret_; } // BERTH_RET_…, never OK
    const char *name() const noexcept { return berth_ret_name(ret_); }
    // What the module or berth said, UTF-8; empty where a function has nothing but its return value. Of WORKER_DIED it
    // is CBOR: take death().
    const std::string &text() const noexcept { return payload_; }
    std::optional<Death> death() const {
        return ret_ == BERTH_RET_WORKER_DIED ? std::optional(Death::from(payload_)) : std::nullopt;
    }
    // For people: "ERR: no such table: absent", "WORKER_DIED: worker 4711 died of signal 11".
    std::string message() const {
        std::string text = ret_ == BERTH_RET_WORKER_DIED ? told(Death::from(payload_)) : payload_;
        return text.empty() ? name() : std::string(name()) + ": " + text;
    }

  private:
    static std::string told(const Death &death) {
        std::string text = "worker " + std::to_string(death.pid);
        if (death.signal)
            text += " died of signal " + std::to_string(*death.signal);
        else if (death.status)
            text += " exited with status " + std::to_string(*death.status);
        else
            text += " is gone";
        return death.last_log.empty() ? text : text + "; its last lines:\n" + death.last_log;
    }

    int ret_;
    std::string payload_;
};

} // namespace berth

#endif
