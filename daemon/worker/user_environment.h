// HOME, USER, LOGNAME and SHELL of a worker: those of its own user, by the user's entry.
//
// The worker looks itself up, and not the supervisor for it: the entry may be on another machine (LDAP) and take its
// time.
#pragma once

namespace berth {

// Sets those that are not there: what a manifest sets stays. Without an entry HOME is "/", and the others stay unset.
// Before any thread, and before the library is loaded.
void take_user_environment();

} // namespace berth
