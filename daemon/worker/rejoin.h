// The way back to a restarted supervisor, for a worker whose context lives on: when to try, and the connection.
//
// A connection that cannot be made is tried again soon, up to once a second; one that is made and then ended before the
// supervisor took us in (it does not want us, or is in trouble) costs more and more patience.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>

#include "base/unique_fd.h"

namespace berth {

class Rejoin {
  public:
    // `path`: the service's socket; empty: there is no way back. `control`: the socket of the first supervisor, whose
    // user is the only one besides root that is believed to be the next.
    Rejoin(std::string path, int control);

    void supervisor_lost(uint64_t now_ns);
    void adopted() { failures_ = rejections_ = 0; }
    // When to try; none: there is nothing to try.
    std::optional<uint64_t> due_ns() const { return due_ns_; }
    // A connection to a supervisor that may be believed, or none, with the next try planned. Never waits.
    UniqueFd try_connect(uint64_t now_ns);
    void give_up() { due_ns_.reset(); }

  private:
    void plan(uint64_t now_ns, uint64_t most_ms, unsigned doublings);

    std::string path_;
    std::optional<uid_t> uid_;
    std::optional<uint64_t> due_ns_;
    unsigned failures_ = 0;   // connections in a row that could not be made
    unsigned rejections_ = 0; // connections in a row that were ended before `adopted`
};

} // namespace berth
