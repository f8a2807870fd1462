#include "supervisor/worker_process.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/adapter_entry.h"
#include "crash_area.h"
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

} // namespace

std::string describe(const ProcessEnd &end) {
    if (end.unknown)
        return "killed or exited, status unknown";
    if (end.signal)
        return fmt::format("signal {} ({})", end.signal, ::strsignal(end.signal));
    return fmt::format("exit status {}", end.status);
}

WorkerProcess::WorkerProcess(uv_loop_t *loop, Events events) : loop_(loop), events_(std::move(events)) {}

WorkerProcess::~WorkerProcess() {
    if (box_)
        box_->close();
}

Result<bool> WorkerProcess::open_outputs(std::array<UniqueFd, 2> &write_ends) {
    for (size_t i = 0; i < outputs_.size(); i++) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            return spawn_error("pipe", errno);
        outputs_[i].fd.reset(ends[0]);
        write_ends[i].reset(ends[1]);
        // Only this end: a module that prints must not meet EAGAIN.
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    return true;
}

Result<UniqueFd> WorkerProcess::adopt(pid_t pid, UniqueFd pidfd) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return spawn_error("pipe", errno);
    UniqueFd write_end(ends[1]);
    Output &output = outputs_[0];
    output.fd.reset(ends[0]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    output.poller = std::make_unique<Poller>(loop_, ends[0], [this, &output](int) { read(output, kReadPerTurn); });
    pid_ = pid;
    pidfd_ = std::move(pidfd);
    death_ = std::make_unique<Poller>(loop_, pidfd_.get(), [this](int) {
        death_.reset();
        exited(was_killed_ ? ProcessEnd{0, SIGKILL} : ProcessEnd{.unknown = true});
    });
    return write_end;
}

Result<bool> WorkerProcess::spawn(const SpawnOptions &options, UniqueFd control) {
    std::array<UniqueFd, 2> write_ends;
    if (auto opened = open_outputs(write_ends); !opened)
        return opened;
    auto area = Memfd::create("berth-crash", sizeof(berth_crash_area));
    if (!area)
        return area.error();
    crash_area_ = area->release();
    auto started =
        start(options, {-1, write_ends[0].get(), write_ends[1].get(), control.get(), crash_area_.get(),
                        options.settings_fd});
    static_assert(kAdapterSettingsFd == 5);
    if (!started)
        return started;
    for (auto &output : outputs_)
        output.poller =
            std::make_unique<Poller>(loop_, output.fd.get(), [this, &output](int) { read(output, kReadPerTurn); });
    return true;
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
