// A scenario's process: this program again, and what it reports.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "scenario.h"

namespace berth::test {

class ScenarioProcess {
  public:
    // Report and orders of `options` are filled in.
    explicit ScenarioProcess(ScenarioOptions options);
    ~ScenarioProcess();
    ScenarioProcess(const ScenarioProcess &) = delete;
    // To be called by main() first: this process's exit code if it is a scenario, -1 if not.
    static int main(int argc, char **argv);

    pid_t pid() const { return pid_; }
    void let_on();
    void kill(); // SIGKILL, and waits for its end
    // Reads what it has said by now.
    const std::vector<std::string> &lines();
    bool says(const std::string &line);
    // It is done, and its process has ended with 0.
    bool ended_well(std::chrono::milliseconds bound);

  private:
    pid_t pid_ = -1;
    int report_ = -1, orders_ = -1;
    std::string partial_;
    std::vector<std::string> lines_;
};

} // namespace berth::test
