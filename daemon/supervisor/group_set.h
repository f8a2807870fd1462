// A set of supplementary groups. Equal ones are one object as long as anybody has it, so that they take the room of one
// and are compared at once: a user may have processes in many sets of thousands. Not for several threads.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <sys/types.h>
#include <vector>

namespace berth {

class GroupSet {
  public:
    GroupSet() = default;
    GroupSet(std::initializer_list<gid_t> groups) : GroupSet(std::vector<gid_t>(groups)) {}
    // In any order, any of them more than once.
    explicit GroupSet(std::vector<gid_t> groups);

    // Each once.
    const std::vector<gid_t> &sorted() const;

    bool operator==(const GroupSet &) const = default;
    // An order for keys, by when such a set was first seen.
    std::strong_ordering operator<=>(const GroupSet &other) const { return number() <=> other.number(); }

    static size_t count(); // of different ones that somebody has, beside the empty one

  private:
    struct Shared;
    uint64_t number() const;

    std::shared_ptr<const Shared> shared_; // nullptr: empty
};

} // namespace berth
