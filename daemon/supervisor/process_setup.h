// What the daemon does to its own process before anything else: it may have been started from inside any program.
#pragma once

#include <csignal>
#include <string>

namespace berth {

// The supervisor's own. Blocked until it has handlers for them, so that none ends the daemon while it starts.
inline constexpr int kWatchedSignals[] = {SIGHUP, SIGINT, SIGTERM};

// Every signal's disposition to default, but SIGPIPE ignored; nothing blocked but what will be watched.
void reset_signals();
void default_signals(); // every disposition, SIGPIPE's too
void block_signals(); // those that berthd watches, and no others
void unblock_signals();
// Closes every descriptor above 2 but `keep`.
void close_inherited_fds(int keep);
// Every descriptor above 2 becomes close-on-exec.
void make_fds_private();
// Descriptors 0 to 2 that are closed become /dev/null, so that nothing else can land there.
void open_missing_stdio();
// stdin and stdout to /dev/null, stderr to `log` (appended; a file that cannot be opened: /dev/null); with an empty
// `log` stderr stays.
void redirect_stdio(const std::string &log);

// What a service manager gave the service beyond its user is not its workers': they begin without.
void drop_ambient_capabilities();
// A worker takes four descriptors of the daemon, so its soft limit goes up to the hard one.
void raise_fd_limit();
// Back to the limit that the daemon was started with; for its children.
void restore_fd_limit();

} // namespace berth
