// One worker's process: spawned, its output read line by line, its end reported once.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/child_end.h"
#include "supervisor/log_lines.h"
#include "supervisor/loop.h"
#include "supervisor/spawn.h"

namespace berth {

struct ProcessEnd {
    int64_t status = 0;
    int signal = 0; // 0: it exited with `status`
    bool unknown = false; // not our child: nobody told us
    std::string not_started = {}; // why it never became the program that was to be started
};

// A process that another forked for us: our child.
struct ForkedProcess {
    pid_t pid;
    UniqueFd pidfd;
    std::array<UniqueFd, 2> outputs; // non-blocking read ends of its stdout and stderr
    UniqueFd crash_area;
};

// "exit status 3" or "signal 11 (Segmentation fault)".
std::string describe(const ProcessEnd &end);

// The read ends, which do not block, and their write ends, which do: a module that prints must not meet EAGAIN.
struct OutputPipes {
    std::array<UniqueFd, 2> read_ends, write_ends;
};
Result<OutputPipes> open_output_pipes();
// Of proto/crash_area.h, empty.
Result<UniqueFd> open_crash_area();

class WorkerProcess {
  public:
    struct Events {
        std::function<void(const std::string &line)> on_line;
        std::function<void(const ProcessEnd &)> on_exit; // all that it wrote has been given to on_line
    };

    WorkerProcess(uv_loop_t *loop, Events events);
    WorkerProcess(const WorkerProcess &) = delete;
    WorkerProcess &operator=(const WorkerProcess &) = delete;

    // The worker gets `control` as descriptor 3, its crash area as descriptor 4, and what its adapter is told, where it
    // has one, as kAdapterSettingsFd. An error names the system's reason. What fails later is told with its end.
    Result<bool> spawn(SpawnOptions options, UniqueFd control, UniqueFd settings = {});
    // Watches a process that is not our child, and of whose end nobody will tell us more than that. What comes back is
    // for its stdout and stderr.
    Result<UniqueFd> adopt_former(pid_t pid, UniqueFd pidfd);
    // Takes over one that another process forked for us.
    void adopt_forked(ForkedProcess forked);
    void kill();

    pid_t pid() const { return pid_; }
    int pidfd() const { return pidfd_.get(); }
    bool has_exited() const;
    std::string log_tail() const { return tail_.text(); }
    // Reads what it has written until now, and forgets the tail.
    void end_chapter();
    // A copy of its crash area (proto/crash_area.h); empty when that cannot be read.
    std::string crash_area() const;

  private:
    struct Output {
        UniqueFd fd;
        std::unique_ptr<Poller> poller; // after the descriptor
        LineSplitter lines;
    };

    void watch(Output &output);
    void watch_outputs(std::array<UniqueFd, 2> read_ends);
    void watch_child();
    void look_at_start();
    void reaped(const siginfo_t *end);
    void read(Output &output, size_t most);
    void give(const std::vector<std::string> &lines);
    void exited(const ProcessEnd &end);

    uv_loop_t *loop_;
    Events events_;
    pid_t pid_ = 0;
    UniqueFd pidfd_;
    UniqueFd crash_area_;
    std::unique_ptr<ChildEnd> child_end_; // after the pidfd
    std::unique_ptr<Poller> former_end_;  // instead of it, of one that is not our child
    std::string program_;                 // until its start is known to have gone well
    UniqueFd start_news_;
    std::unique_ptr<Poller> start_; // after those
    std::string not_started_;
    bool was_killed_ = false;
    std::array<Output, 2> outputs_;
    LogTail tail_;
};

} // namespace berth
