#include "scenario_process.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <iterator>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "processes.h"

namespace berth::test {
namespace {

std::string words_of(const std::set<int> &numbers) {
    std::ostringstream out;
    for (int number : numbers)
        out << number << ' ';
    return out.str();
}

std::set<int> numbers_in(const std::string &words) {
    std::istringstream in(words);
    return {std::istream_iterator<int>(in), std::istream_iterator<int>()};
}

} // namespace

ScenarioProcess::ScenarioProcess(ScenarioOptions options) {
    int report[2], orders[2];
    REQUIRE(::pipe2(report, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(orders, O_CLOEXEC) == 0);
    std::vector<std::string> args = {"kill-points", "--scenario", options.name, options.socket,
                                     std::to_string(report[1]), std::to_string(orders[0]),
                                     words_of(options.forgiven), words_of(options.forgiven_opens)};
    std::vector<char *> argv;
    for (auto &arg : args)
        argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
        ::fcntl(report[1], F_SETFD, 0);
        ::fcntl(orders[0], F_SETFD, 0);
        ::execv("/proc/self/exe", argv.data());
        ::_exit(126);
    }
    ::close(report[1]);
    ::close(orders[0]);
    report_ = report[0];
    orders_ = orders[1];
    ::fcntl(report_, F_SETFL, O_NONBLOCK);
}

ScenarioProcess::~ScenarioProcess() {
    kill();
    ::close(report_);
    ::close(orders_);
}

int ScenarioProcess::main(int argc, char **argv) {
    if (argc != 8 || std::strcmp(argv[1], "--scenario") != 0)
        return -1;
    std::thread([] {}).join(); // a sanitizer starts its own thread with the first one, for good
    return run_scenario({argv[2], argv[3], std::atoi(argv[4]), std::atoi(argv[5]), numbers_in(argv[6]),
                         numbers_in(argv[7])});
}

void ScenarioProcess::let_on() { (void)!::write(orders_, "g", 1); }

void ScenarioProcess::kill() { kill_child(pid_); }

const std::vector<std::string> &ScenarioProcess::lines() {
    char buffer[4096];
    for (ssize_t got; (got = ::read(report_, buffer, sizeof buffer)) > 0;)
        partial_.append(buffer, static_cast<size_t>(got));
    for (size_t end; (end = partial_.find('\n')) != std::string::npos; partial_.erase(0, end + 1))
        lines_.push_back(partial_.substr(0, end));
    return lines_;
}

bool ScenarioProcess::says(const std::string &line) {
    const auto &said = lines();
    return std::find(said.begin(), said.end(), line) != said.end();
}

bool ScenarioProcess::ended_well(std::chrono::milliseconds bound) {
    int status = -1;
    if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, bound))
        return false;
    pid_ = -1;
    return status == 0 && says("done");
}

} // namespace berth::test
