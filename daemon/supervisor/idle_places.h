// Which identities of a user may have processes that serve nobody (idle workers, spares, zygotes): those that were used
// last, so many at most. A user can have an identity for each set of its groups. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <sys/types.h>

#include "supervisor/identity.h"

namespace berth {

class IdlePlaces {
  public:
    static constexpr size_t kMostOfAUser = 8;

    // A host of this identity opens something. Whoever of its user has lost the place to it.
    std::optional<Identity> take(const Identity &identity);
    bool has(const Identity &identity) const;
    // Forgets all others.
    void keep_only(const std::function<bool(const Identity &)> &still);
    size_t users() const { return places_.size(); }

  private:
    std::map<uid_t, std::deque<Identity>> places_; // whoever opened last comes last; none is empty
};

} // namespace berth
