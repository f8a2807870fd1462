#include "host_process.h"

#include <doctest/doctest.h>
#include <unistd.h>
#include <vector>

#include "processes.h"

namespace berth::test {
namespace {

// Runs this program as a host, and waits until it says that it is at it.
pid_t run(std::vector<std::string> args, const std::vector<std::string> &more) {
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    args.push_back(std::to_string(pipe[1]));
    args.insert(args.end(), more.begin(), more.end());
    std::vector<char *> argv;
    for (auto &arg : args)
        argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_t pid = ::fork();
    if (pid == 0) {
        ::execv("/proc/self/exe", argv.data());
        ::_exit(126);
    }
    char byte = 0;
    ::close(pipe[1]);
    CHECK(::read(pipe[0], &byte, 1) == 1);
    ::close(pipe[0]);
    return pid;
}

} // namespace

HostProcess::HostProcess(const std::string &socket) : pid_(run({"integration", "--host", socket}, {})) {}

HostProcess::HostProcess(const std::string &socket, const std::string &module, const std::string &method)
    : pid_(run({"integration", "--host", socket}, {module, method})) {}

HostProcess::~HostProcess() { kill(); }

void HostProcess::kill() { kill_child(pid_); }

} // namespace berth::test
