#include "case_run.h"

#include <algorithm>
#include <csignal>
#include <cctype>
#include <doctest/doctest.h>
#include <filesystem>
#include <poll.h>
#include <sstream>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "base/unique_fd.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"

namespace berth::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kTimes = 3;
#else
constexpr int kTimes = 1;
#endif

// Less than the deadlines that the scenarios give: nothing is to end by one. The usual is a second.
constexpr std::chrono::seconds kReached{20 * kTimes};  // until somebody stands at the point
constexpr std::chrono::seconds kDone{10 * kTimes};     // from the kill to the end of the scenario
constexpr std::chrono::seconds kTogether{10 * kTimes}; // from a supervisor's start to its having what was left behind
constexpr std::chrono::seconds kGone{5 * kTimes};      // what is ending
constexpr uint32_t kServedMs = 10'000 * kTimes;        // an open, while somebody stands somewhere and afterwards

// A process is dead when its last thread is: its pidfd tells, and /proc only of the first one.
bool kill_for_good(pid_t pid) {
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    ::kill(pid, SIGKILL);
    pollfd death{pidfd.get(), POLLIN, 0};
    return ::poll(&death, 1, static_cast<int>(std::chrono::milliseconds(kHangBound).count())) == 1;
}

// Small bounds, so that a close past them is no long wait; crashes are ours and not the module's.
std::string policies_of(const std::string &scenario) {
    std::string all = "drain_timeout_ms = 200\nteardown_timeout_ms = 1000\nidle_timeout_ms = 200\nstart_grace_ms = 0\n"
                      "quarantine_after = 0\n";
    if (scenario == "gated")
        all += "max_recycling = 1\n";
    if (scenario == "zygote")
        all += "zygote = true\n";
    return all;
}

// How requests may end, besides well, when that party is killed. Without a supervisor or a zygote they go on.
std::set<int> forgiven_requests(const Case &what) {
    return what.kill && what.victim == "worker" ? std::set<int>{BERTH_RET_WORKER_DIED} : std::set<int>{};
}

// ERR: the worker ended before it was ready. UNAVAILABLE: a worker had the open when the supervisor died.
std::set<int> forgiven_opens(const Case &what) {
    if (what.kill && what.victim == "worker")
        return {BERTH_RET_WORKER_DIED, BERTH_RET_ERR};
    if (what.kill && what.victim == "supervisor")
        return {BERTH_RET_UNAVAILABLE};
    return {};
}

// What a process has open, without what tells one from another of its kind.
std::vector<std::string> kinds_of_fds(pid_t pid) {
    std::vector<std::string> kinds;
    for (auto &[fd, target] : Holdings::fds_of(pid)) {
        std::string kind;
        std::copy_if(target.begin(), target.end(), std::back_inserter(kind),
                     [](unsigned char c) { return !std::isdigit(c); });
        kinds.push_back(kind);
    }
    std::sort(kinds.begin(), kinds.end());
    return kinds;
}

std::string text_of(const std::vector<std::string> &lines) {
    std::ostringstream out;
    for (const auto &line : lines)
        out << line << '\n';
    return out.str();
}

// How often a host has had its context given back.
size_t given_back(const Service &service) { return service.times_logged(" again\n"); }

// An open makes one before it asks.
bool has_segment(pid_t host) {
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/" + std::to_string(host) + "/fd", error))
        if (std::filesystem::read_symlink(entry.path(), error).string().find("memfd:berth-segment") != std::string::npos)
            return true;
    return false;
}

} // namespace

CaseRun::CaseRun(const Case &what) : what_(what), stop_file_(what.place) {
    manifests_.add_echo(policies_of(what.place.scenario));
    service_.emplace(Service::Options{.modules = manifests_.path()});
    sleep_ms(20);
    supervisor_had_ = kinds_of_fds(service_->pid());
    host_.emplace(ScenarioOptions{what.place.scenario, service_->socket(), -1, -1, forgiven_requests(what),
                                  forgiven_opens(what)});
}

std::string CaseRun::story() {
    return what_.name() + "\nthe host said:\n" + text_of(host_->lines()) + "the supervisor's log:\n" + service_->log();
}

void CaseRun::run() {
    await_stop();
    if (!stopped_)
        return;
    strike();
    finish_scenario();
    check_fresh_host();
    check_nothing_left();
}

void CaseRun::await_stop() {
    bool reached = eventually(
        [&] {
            stopped_ = stop_file_.stopped();
            if (!stopped_ && !played_ && host_->says("ready"))
                play_along();
            return stopped_ || host_->says("done");
        },
        kReached);
    CHECK_MESSAGE((reached && stopped_), "nobody comes to this point: " << story());
}

// What the scenario is about happens around it.
void CaseRun::play_along() {
    const std::string &scenario = what_.place.scenario;
    played_ = true;
    if (scenario == "host_dies") {
        host_->kill();
        return;
    }
    if (scenario == "open_over_restart") {
        service_->send(SIGSTOP);
        host_->let_on();
        eventually([&] { return has_segment(host_->pid()); });
        sleep_ms(200); // for the open to be sent
    }
    service_->kill();
    service_->start_again();
}

std::vector<pid_t> CaseRun::pids_of(const std::string &party) {
    if (party == what_.place.party())
        return {stopped_};
    if (party == "host")
        return {host_->pid()};
    if (party == "supervisor")
        return {service_->pid()};
    std::vector<pid_t> found;
    auto find = [&] {
        found = own_processes("berth-" + party);
        // A forked worker has its zygote's name at first.
        std::erase(found, stopped_);
        if (party == "zygote" && !found.empty())
            found = {*std::min_element(found.begin(), found.end())};
        return !found.empty();
    };
    eventually(find, kGone);
    CHECK_MESSAGE(!found.empty(), "there is no " << party << " at this point: " << story());
    return found;
}

void CaseRun::let_on(pid_t pid) {
    if (alive(pid))
        ::kill(pid, SIGCONT);
}

void CaseRun::strike() {
    if (what_.kill)
        return kill_victim();
    auto pids = pids_of(what_.victim);
    if (what_.victim != what_.place.party()) {
        for (pid_t pid : pids)
            ::kill(pid, SIGSTOP);
        let_on(stopped_);
    }
    stop_for_a_while(pids);
}

void CaseRun::kill_victim() {
    bool stands_there = what_.victim == what_.place.party();
    if (what_.victim == "host") {
        host_->kill();
    } else if (what_.victim == "supervisor") {
        service_->kill();
        given_back_ = given_back(*service_);
    } else {
        for (pid_t pid : pids_of(what_.victim))
            CHECK_MESSAGE(kill_for_good(pid), story());
    }
    if (!stands_there)
        let_on(stopped_);
    if (what_.victim == "supervisor")
        service_->start_again();
}

void CaseRun::stop_for_a_while(const std::vector<pid_t> &pids) {
    auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(what_.place.stop_ms);
    if (what_.victim == what_.place.party() && what_.victim != "supervisor" && !what_.place.idle)
        others_are_served();
    std::this_thread::sleep_until(until);
    for (pid_t pid : pids)
        let_on(pid);
}

void CaseRun::others_are_served() {
    Host other(service_->socket());
    Context context(other, "echo", "", {.timeout_ms = kServedMs});
    CHECK(context.call("echo", "meanwhile") == Answer{0, "meanwhile"});
    CHECK(context.close() == BERTH_RET_OK);
}

void CaseRun::finish_scenario() {
    if (what_.place.scenario == "host_dies" || host_dies()) {
        host_->kill();
        return;
    }
    if (what_.place.scenario == "rejoin") {
        bool lost = what_.kill && what_.victim == "worker";
        CHECK_MESSAGE((lost || eventually([&] { return given_back(*service_) > given_back_; }, kTogether)), story());
        host_->let_on();
    }
    auto began = std::chrono::steady_clock::now();
    bool well = host_->ended_well(kDone);
    auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    CHECK_MESSAGE(well, "the host is not done after " << took.count() << " ms: " << story());
    for (const auto &line : host_->lines())
        CHECK_MESSAGE(!line.starts_with("wrong "), line << "\n" << story());
    check_told();
}

// Once when it begins, once when it is over.
void CaseRun::check_told() {
    const auto &told = what_.place.told;
    if (what_.kill || std::find(told.begin(), told.end(), what_.victim) == told.end())
        return;
    const auto &lines = host_->lines();
    auto count = [&](const char *line) { return std::count(lines.begin(), lines.end(), line); };
    CHECK_MESSAGE(count("silent stopped") == 1, story());
    CHECK_MESSAGE(count("responding") == 1, story());
}

void CaseRun::check_fresh_host() {
    Host host(service_->socket());
    berth_context context{0};
    Answer opened = open_answer(host, "echo", "", &context, {.timeout_ms = kServedMs});
    CHECK_MESSAGE(opened.ret == BERTH_RET_OK, opened << "\n" << story());
    if (opened.ret != BERTH_RET_OK)
        return;
    berth_reply reply;
    int called = berth_call(context, method_id("echo"), "x", 1, static_cast<int>(kServedMs), &reply);
    CHECK_MESSAGE(called == BERTH_RET_OK, story());
    berth_reply_free(&reply);
    CHECK(berth_close(context, nullptr, nullptr) == BERTH_RET_OK);
}

void CaseRun::check_nothing_left() {
    std::vector<std::string> has;
    auto freed = [&] { return (has = kinds_of_fds(service_->pid())).size() <= supervisor_had_.size(); };
    CHECK_MESSAGE(eventually(freed, kGone),
                  "the supervisor had\n" << text_of(supervisor_had_) << "and has\n" << text_of(has) << story());
    service_->stop(); // checks the exit code
    std::vector<pid_t> left;
    CHECK_MESSAGE(eventually([&] { return (left = own_processes()).empty(); }, kGone),
                  left.size() << " processes are left: " << story());
    auto folder = std::filesystem::path(service_->socket()).parent_path();
    for (const auto &entry : std::filesystem::directory_iterator(folder))
        CHECK_MESSAGE(entry.path().filename() == "log", entry.path() << " is left: " << story());
}

} // namespace berth::test
