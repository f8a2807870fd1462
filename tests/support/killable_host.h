// A host to be killed: connects to a service, has a call in flight, and calls until it dies.
#pragma once

namespace berth::test {

// Writes one byte to `ready` after its first call. Returns only when it cannot begin.
int run_killable_host(const char *socket, int ready);
// The same with one request to that module's method under way, and nothing else.
int run_waiting_host(const char *socket, int ready, const char *module, const char *method);

} // namespace berth::test
