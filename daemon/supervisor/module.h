// A module that can be served. Workers and catalogue share it; one whose manifest changed is replaced by a new object,
// and the old one lives on with the workers that were started for it.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <sys/types.h>

#include "supervisor/backoff.h"
#include "supervisor/identity.h"
#include "supervisor/manifest.h"
#include "supervisor/quarantine.h"
#include "supervisor/words_book.h"

namespace berth {

struct Module {
    Manifest manifest;
    bool current = true; // still in the catalogue

    WordsBook words; // of its workers
    Backoff backoff; // of spares
    std::set<Identity> users; // for which spares are kept, beside the daemon's own

    std::deque<pid_t> teardown_line; // workers that wait for one of max_recycling to be done
    std::map<uid_t, Quarantine> quarantines; // of those whose workers crashed

    // How long a recall may take in the worker: two rounds of draining, then the teardown.
    uint64_t recall_bound_ms() const { return 2 * uint64_t{manifest.drain_timeout_ms} + manifest.teardown_timeout_ms; }
};

} // namespace berth
