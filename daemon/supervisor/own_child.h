// Looks at processes of which somebody else says, or nobody did, that they are children of this one.
#pragma once

#include <cstdint>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/identity.h"

namespace berth {

// A pidfd of `pid`, which is an unreaped child of ours and has just what one started as `identity` has; the error says
// which of it is not so. Until it is reaped the pid is nobody else's.
Result<UniqueFd> open_own_child(pid_t pid, const Identity &identity);

struct ChildOfOurs {
    pid_t pid;
    uint64_t started; // clock ticks since the machine started, as now_in_ticks()
};
// By /proc, so those that it hides are missing.
std::vector<ChildOfOurs> list_own_children();
uint64_t now_in_ticks();

} // namespace berth
