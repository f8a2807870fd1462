#include "supervisor/zygote.h"

#include <climits>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

#include "kill_point.h"
#include "supervisor/log.h"
#include "supervisor/own_child.h"

namespace berth {

const char *name_of(Zygote::State state) {
    static constexpr const char *kNames[] = {"Starting", "Ready", "Ending"};
    return kNames[static_cast<int>(state)];
}

Result<std::unique_ptr<Zygote>> Zygote::start(uv_loop_t *loop, const std::string &program,
                                              const std::string &service, std::shared_ptr<Module> module,
                                              const Identity &identity, ZygoteOwner &owner) {
    auto pair = socket_pair();
    if (!pair)
        return pair.error();
    SpawnOptions options = Worker::spawn_options(program, service, module->manifest, identity);
    options.args.insert(options.args.begin(), "--zygote");
    std::unique_ptr<Zygote> zygote(new Zygote(loop, std::move(pair->first), std::move(module), identity, owner));
    if (auto spawned = zygote->process_.spawn(std::move(options), std::move(pair->second)); !spawned)
        return spawned.error();
    zygote->deadline_.start(kReadyBoundMs);
    return zygote;
}

Zygote::Zygote(uv_loop_t *loop, UniqueFd control, std::shared_ptr<Module> module, const Identity &identity,
               ZygoteOwner &owner)
    : owner_(owner), module_(std::move(module)), identity_(identity),
      process_(loop, {[this](const std::string &line) {
                          log::info("[{}/zygote/{}] {}", module_->manifest.name, pid(), line);
                      },
                      [this](const ProcessEnd &end) { exited(end); }}),
      peer_(loop, std::move(control), *this), deadline_(loop, [this] { late(); }), started_ms_(now_ms()),
      since_ms_(started_ms_) {}

bool Zygote::fork() {
    if (state_ != State::Ready || waiting_.size() >= kMaxForks)
        return false;
    auto pair = socket_pair();
    auto pipes = open_output_pipes();
    auto area = open_crash_area();
    if (!pair || !pipes || !area)
        return false;
    UniqueFd its_area(::fcntl(area->get(), F_DUPFD_CLOEXEC, 0));
    if (!its_area)
        return false;
    if (waiting_.empty())
        deadline_.start(kForkBoundMs);
    waiting_.push_back({next_seq_, std::move(pair->first), std::move(pipes->read_ends), std::move(*area)});
    peer_.send(std::move(Message(BERTH_MSG_FORK)
                             .with(BERTH_KEY_SEQ, next_seq_++)
                             .with_fd(std::move(pair->second))
                             .with_fd(std::move(pipes->write_ends[0]))
                             .with_fd(std::move(pipes->write_ends[1]))
                             .with_fd(std::move(its_area))));
    BERTH_KILL_POINT("supervisor.fork_sent");
    return true;
}

void Zygote::enter(State state) {
    state_ = state;
    since_ms_ = now_ms();
    deadline_.stop();
}

void Zygote::end() {
    if (state_ == State::Ending)
        return;
    enter(State::Ending);
    waiting_.clear();
    process_.kill();
}

void Zygote::late() {
    fail(state_ == State::Starting ? fmt::format("not ready in {} ms", kReadyBoundMs)
                                   : fmt::format("a fork is not answered in {} ms", kForkBoundMs));
}

void Zygote::fail(const std::string &why, bool for_good) {
    if (state_ == State::Ending)
        return;
    log::warn("zygote {} ({}) is given up, workers are spawned without it: {}", pid(), module_->manifest.name, why);
    size_t forks = waiting_.size();
    end();
    owner_.on_zygote_failed(*this, forks, for_good);
}

void Zygote::on_message(Message message) {
    if (state_ == State::Ending)
        return;
    auto text = [&] { return printable(message.text(BERTH_KEY_TEXT)); };
    if (message.type() == BERTH_MSG_READY && state_ == State::Starting) {
        enter(State::Ready);
        log::info("zygote {} ({}) ready in {} ms", pid(), module_->manifest.name, since_ms_ - started_ms_);
    } else if (message.type() == BERTH_MSG_FORKED && state_ == State::Ready) {
        forked(message);
    } else if (message.type() == BERTH_MSG_LOAD_FAILED && state_ == State::Starting) {
        fail(text());
    } else if (message.type() == BERTH_MSG_NO_FORK) {
        fail(text(), state_ == State::Starting);
    } else {
        fail(fmt::format("a zygote does not send {} when it is {}", message.type_name(), name_of(state_)));
    }
}

void Zygote::forked(const Message &message) {
    BERTH_KILL_POINT("supervisor.forked_received");
    uint64_t seq = message.number(BERTH_KEY_SEQ), told = message.number(BERTH_KEY_PID);
    if (waiting_.empty() || waiting_.front().seq != seq)
        return fail(fmt::format("forked {} is not the fork that is due", seq));
    auto pid = told > 0 && told <= INT_MAX ? static_cast<pid_t>(told) : 0;
    if (pid == 0 || owner_.knows(pid))
        return fail(fmt::format("process {} cannot be a new worker", told));
    auto pidfd = open_own_child(pid, identity_);
    if (!pidfd)
        return fail(pidfd.error().text);
    Fork fork = std::move(waiting_.front());
    waiting_.pop_front();
    forks_++;
    if (waiting_.empty())
        deadline_.stop();
    else
        deadline_.start(kForkBoundMs);
    owner_.on_forked(*this, {pid, std::move(*pidfd), std::move(fork.outputs), std::move(fork.crash_area)},
                     std::move(fork.control));
}

// Its process ends with its connection, or is made to.
void Zygote::on_gone(const std::string &why) { fail(why.empty() ? "its connection has ended" : why); }

void Zygote::exited(const ProcessEnd &end) {
    peer_.drain(); // it may have said why
    fail(describe(end));
    log::info("zygote {} ({}) ended: {}", pid(), module_->manifest.name, describe(end));
    peer_.close();
    owner_.on_zygote_exited(*this);
}

} // namespace berth
