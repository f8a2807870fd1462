// A worker that has loaded its module and runs nothing of it: it forks workers, which need not load it again.
#pragma once

#include "control/channel.h"

namespace berth {

// Tells `ready`, then serves `fork` messages of `channel`, which must be descriptor 3. Returns in each forked worker,
// where descriptor 3, and `channel` with it, is that worker's own control socket, 1 and 2 are its own outputs, and the
// crash handler writes into its own crash area. In the zygote it never returns: the process exits when its supervisor is
// gone, or when it cannot fork, which it tells.
//
// The process must have one thread. What it got from its supervisor (limits, signals, user, environment) is the forked
// worker's too; atfork handlers are not run.
void become_forked_worker(Channel &channel, const Message &ready);

} // namespace berth
