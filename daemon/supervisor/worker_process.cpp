#include "supervisor/worker_process.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/adapter_entry.h"
#include "crash_area.h"
#include "kill_point.h"
#include "shm/memfd.h"
#include "supervisor/process_setup.h"

namespace berth {
namespace {

constexpr size_t kReadPerTurn = 64 * 1024;
constexpr size_t kReadAtEnd = 1024 * 1024; // a pipe's usual size and more; grandchildren may go on writing

std::vector<char *> pointers(const std::vector<std::string> &texts) {
    std::vector<char *> out;
    for (const auto &text : texts)
        out.push_back(const_cast<char *>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

Error spawn_error(const char *what, int error) { return Error{1, fmt::format("{}: {}", what, std::strerror(error))}; }

// libuv lets nobody in between its fork and its exec, but libc does.
void have_kill_point_in_child() {
#ifdef BERTH_KILL_POINTS
    static int had = ::pthread_atfork(nullptr, nullptr, [] { BERTH_KILL_POINT("worker.before_exec"); });
    (void)had;
#endif
}

} // namespace

std::string describe(const ProcessEnd &end) {
    if (end.unknown)
        return "killed or exited, status unknown";
    if (end.signal)
        return fmt::format("signal {} ({})", end.signal, ::strsignal(end.signal));
    return fmt::format("exit status {}", end.status);
}

Result<OutputPipes> open_output_pipes() {
    OutputPipes pipes;
    for (size_t i = 0; i < pipes.read_ends.size(); i++) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            return spawn_error("pipe", errno);
        pipes.read_ends[i].reset(ends[0]);
        pipes.write_ends[i].reset(ends[1]);
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    return pipes;
}

Result<UniqueFd> open_crash_area() {
    auto area = Memfd::create("berth-crash", sizeof(berth_crash_area));
    if (!area)
        return area.error();
    return area->release();
}

WorkerProcess::WorkerProcess(uv_loop_t *loop, Events events) : loop_(loop), events_(std::move(events)) {}

WorkerProcess::~WorkerProcess() {
    if (box_)
        box_->close();
}

Result<bool> WorkerProcess::spawn(const SpawnOptions &options, UniqueFd control) {
    auto pipes = open_output_pipes();
    if (!pipes)
        return pipes.error();
    auto area = open_crash_area();
    if (!area)
        return area.error();
    crash_area_ = std::move(*area);
    static_assert(kAdapterSettingsFd == 5);
    auto started = start(options, {-1, pipes->write_ends[0].get(), pipes->write_ends[1].get(), control.get(),
                                   crash_area_.get(), options.settings_fd});
    if (!started)
        return started;
    for (size_t i = 0; i < outputs_.size(); i++) {
        outputs_[i].fd = std::move(pipes->read_ends[i]);
        watch(outputs_[i]);
    }
    return true;
}

Result<UniqueFd> WorkerProcess::adopt_former(pid_t pid, UniqueFd pidfd) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return spawn_error("pipe", errno);
    UniqueFd write_end(ends[1]);
    outputs_[0].fd.reset(ends[0]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    watch(outputs_[0]);
    pid_ = pid;
    pidfd_ = std::move(pidfd);
    death_ = std::make_unique<Poller>(loop_, pidfd_.get(), [this](int) {
        death_.reset();
        exited(was_killed_ ? ProcessEnd{0, SIGKILL} : ProcessEnd{.unknown = true});
    });
    return write_end;
}

void WorkerProcess::adopt_forked(ForkedProcess forked) {
    pid_ = forked.pid;
    pidfd_ = std::move(forked.pidfd);
    crash_area_ = std::move(forked.crash_area);
    for (size_t i = 0; i < outputs_.size(); i++) {
        outputs_[i].fd = std::move(forked.outputs[i]);
        watch(outputs_[i]);
    }
    death_ = std::make_unique<Poller>(loop_, pidfd_.get(), [this](int) { reap(); });
}

void WorkerProcess::watch(Output &output) {
    output.poller =
        std::make_unique<Poller>(loop_, output.fd.get(), [this, &output](int) { read(output, kReadPerTurn); });
}

// libuv waits for each of its own processes by pid, so the end of this one is left for us.
void WorkerProcess::reap() {
    siginfo_t end{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &end, WEXITED | WNOHANG) == 0 && end.si_pid == 0)
        return;
    death_.reset();
    bool by_signal = end.si_code == CLD_KILLED || end.si_code == CLD_DUMPED;
    exited(by_signal ? ProcessEnd{0, end.si_status} : ProcessEnd{end.si_status, 0});
}

Result<bool> WorkerProcess::start(const SpawnOptions &options, const std::array<int, 6> &stdio) {
    std::vector<std::string> args = options.args;
    args.insert(args.begin(), options.program);
    auto argv = pointers(args);
    auto env = pointers(options.env);
    uv_stdio_container_t containers[6];
    for (size_t i = 0; i < stdio.size(); i++) {
        containers[i].flags = stdio[i] < 0 ? UV_IGNORE : UV_INHERIT_FD;
        containers[i].data.fd = stdio[i];
    }
    uv_process_options_t request{};
    request.file = options.program.c_str();
    request.args = argv.data();
    request.env = env.data();
    request.stdio = containers;
    request.stdio_count = static_cast<int>(stdio.size());
    // A session of its own: Ctrl-C at a terminal is for the daemon, which takes its workers down in order.
    request.flags = UV_PROCESS_DETACHED;
    if (options.change_user) {
        request.flags |= UV_PROCESS_SETUID | UV_PROCESS_SETGID;
        request.uid = options.uid;
        request.gid = options.gid;
    }
    request.exit_cb = [](uv_process_t *h, int64_t status, int signal) {
        UvBox<uv_process_t>::of(h)->callback(static_cast<int>(status), signal);
    };
    box_ = new UvBox<uv_process_t>;
    box_->callback = [this](int status, int signal) { exited({status, signal}); };
    have_kill_point_in_child();
    if (int rc = uv_spawn(loop_, &box_->handle, &request); rc != 0)
        return spawn_error(options.program.c_str(), -rc);
    pid_ = box_->handle.pid;
    restore_fd_limit_of(pid_);
    // The child is not reaped before the loop's next turn, so the pid is still its own.
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd_) {
        int error = errno;
        kill();
        ::waitpid(pid_, nullptr, 0);
        return spawn_error("pidfd_open", error);
    }
    return true;
}

bool WorkerProcess::has_exited() const {
    pollfd end{pidfd_.get(), POLLIN, 0};
    return ::poll(&end, 1, 0) > 0;
}

void WorkerProcess::kill() {
    if (death_) {
        was_killed_ = true;
        ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
        return;
    }
    if (pid_ && box_ && uv_is_active(reinterpret_cast<uv_handle_t *>(&box_->handle)))
        uv_process_kill(&box_->handle, SIGKILL);
}

void WorkerProcess::read(Output &output, size_t most) {
    char buffer[16 * 1024];
    while (output.fd && most >= sizeof buffer) {
        ssize_t size = ::read(output.fd.get(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return;
        if (size <= 0) {
            output.poller.reset();
            output.fd.reset();
            return give(output.lines.finish());
        }
        give(output.lines.feed({buffer, static_cast<size_t>(size)}));
        most -= static_cast<size_t>(size);
    }
}

void WorkerProcess::give(const std::vector<std::string> &lines) {
    for (const auto &line : lines) {
        tail_.push(line);
        events_.on_line(line);
    }
}

void WorkerProcess::end_chapter() {
    for (auto &output : outputs_)
        read(output, kReadPerTurn);
    tail_ = {};
}

std::string WorkerProcess::crash_area() const {
    std::string bytes(sizeof(berth_crash_area), 0);
    ssize_t got = ::pread(crash_area_.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
    return bytes;
}

void WorkerProcess::exited(const ProcessEnd &end) {
    for (auto &output : outputs_) {
        read(output, kReadAtEnd);
        output.poller.reset();
        output.fd.reset();
        give(output.lines.finish());
    }
    events_.on_exit(end);
}

} // namespace berth
