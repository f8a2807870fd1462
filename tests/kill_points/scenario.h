// The host of a case: a process of its own that lives through a scenario and reports.
#pragma once

#include <set>
#include <string>

namespace berth::test {

struct ScenarioOptions {
    std::string name; // of the scenario
    std::string socket;
    int report = -1; // written: lines, below
    int orders = -1; // read: a byte for each "ready" lets it go on
    // How requests and opens may end, other than well.
    std::set<int> forgiven, forgiven_opens;
};

// Lines: "ready" (it waits to be let on), "silent CAUSE" and "responding" (its context is not_responding, and is
// responding again), "wrong TEXT" (what should not be), "done" (everything is answered, closed and given back).
int run_scenario(const ScenarioOptions &options);

} // namespace berth::test
