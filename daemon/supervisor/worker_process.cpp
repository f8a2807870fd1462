#include "supervisor/worker_process.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>

#include "base/adapter_entry.h"
#include "crash_area.h"
#include "shm/memfd.h"

namespace berth {
namespace {

constexpr size_t kReadPerTurn = 64 * 1024;
constexpr size_t kReadAtEnd = 1024 * 1024; // a pipe's usual size and more; grandchildren may go on writing

Error spawn_error(const char *what, int error) { return Error{1, fmt::format("{}: {}", what, std::strerror(error))}; }

} // namespace

std::string describe(const ProcessEnd &end) {
    if (!end.not_started.empty())
        return end.not_started;
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

WorkerProcess::WorkerProcess(uv_loop_t *loop, Events events)
    : loop_(loop), events_(std::move(events)) {}

Result<bool> WorkerProcess::spawn(SpawnOptions options, UniqueFd control, UniqueFd settings) {
    UniqueFd input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!input)
        return spawn_error("/dev/null", errno);
    auto pipes = open_output_pipes();
    if (!pipes)
        return pipes.error();
    auto area = open_crash_area();
    if (!area)
        return area.error();
    static_assert(kAdapterSettingsFd == 5);
    options.fds = {input.get(),   pipes->write_ends[0].get(), pipes->write_ends[1].get(),
                   control.get(), area->get(),                settings.get()};
    auto spawned = berth::spawn(options);
    if (!spawned)
        return spawned.error();
    pid_ = spawned->pid;
    pidfd_ = std::move(spawned->pidfd);
    crash_area_ = std::move(*area);
    program_ = std::move(options.program);
    start_news_ = std::move(spawned->news);
    start_ = std::make_unique<Poller>(loop_, start_news_.get(), [this](int) { look_at_start(); });
    watch_outputs(std::move(pipes->read_ends));
    watch_child();
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
    former_end_ = std::make_unique<Poller>(loop_, pidfd_.get(), [this](int) {
        former_end_.reset();
        exited(was_killed_ ? ProcessEnd{0, SIGKILL} : ProcessEnd{.unknown = true});
    });
    return write_end;
}

void WorkerProcess::adopt_forked(ForkedProcess forked) {
    pid_ = forked.pid;
    pidfd_ = std::move(forked.pidfd);
    crash_area_ = std::move(forked.crash_area);
    watch_outputs(std::move(forked.outputs));
    watch_child();
}

void WorkerProcess::watch_outputs(std::array<UniqueFd, 2> read_ends) {
    for (size_t i = 0; i < outputs_.size(); i++) {
        outputs_[i].fd = std::move(read_ends[i]);
        watch(outputs_[i]);
    }
}

void WorkerProcess::watch_child() {
    child_end_ = std::make_unique<ChildEnd>(loop_, pidfd_.get(), [this](auto *end) { reaped(end); });
}

void WorkerProcess::look_at_start() {
    if (!start_news_)
        return;
    auto news = start_news(start_news_.get(), program_);
    if (news.state == StartNews::State::Pending)
        return;
    not_started_ = std::move(news.text);
    start_.reset();
    start_news_.reset();
}

void WorkerProcess::watch(Output &output) {
    output.poller =
        std::make_unique<Poller>(loop_, output.fd.get(), [this, &output](int) { read(output, kReadPerTurn); });
}

void WorkerProcess::reaped(const siginfo_t *end) {
    int status = end ? end->si_status : 0;
    bool by_signal = end && (end->si_code == CLD_KILLED || end->si_code == CLD_DUMPED);
    child_end_.reset();
    look_at_start();
    exited({by_signal ? 0 : status, by_signal ? status : 0, !end, std::move(not_started_)});
}

bool WorkerProcess::has_exited() const {
    pollfd end{pidfd_.get(), POLLIN, 0};
    return ::poll(&end, 1, 0) > 0;
}

void WorkerProcess::kill() {
    if (!child_end_ && !former_end_)
        return;
    was_killed_ = true;
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
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
