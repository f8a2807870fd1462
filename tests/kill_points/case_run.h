// One case: a service, a host that lives through a scenario, somebody at a kill point, and what is done then.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "manifests.h"
#include "points.h"
#include "scenario_process.h"
#include "service.h"
#include "stop_file.h"

namespace berth::test {

class CaseRun {
  public:
    explicit CaseRun(const Case &what);
    // Checks all of it.
    void run();

  private:
    bool host_dies() const { return what_.victim == "host" && what_.kill; }
    void await_stop();
    void play_along();
    void strike();
    void kill_victim();
    void stop_for_a_while(const std::vector<pid_t> &pids);
    void let_on(pid_t pid);
    std::vector<pid_t> pids_of(const std::string &party);
    void others_are_served();
    void finish_scenario();
    void check_told();
    void check_fresh_host();
    void check_nothing_left();
    std::string story();

    Case what_;
    Manifests manifests_;
    StopFile stop_file_;
    std::optional<Service> service_;
    std::optional<ScenarioProcess> host_;
    std::vector<std::string> supervisor_had_;
    pid_t stopped_ = 0;
    size_t given_back_ = 0; // contexts, by supervisors that are dead
    bool played_ = false;   // what a scenario asks of us is done
};

} // namespace berth::test
