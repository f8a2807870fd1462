// Starts a program in a child of this process, with descriptors, environment, user and groups of the caller's choice.
//
// The caller does not wait for the exec: a child that is already another user's can be stopped by that user at any step
// (SIGSTOP), and so must hold nobody. How the start went is read from a pipe: its end, or the step that failed and why.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/identity.h"

namespace berth {

constexpr size_t kSpawnFds = 6;

struct SpawnOptions {
    std::string program;           // looked for in PATH when it has no slash
    std::vector<std::string> args; // without the program's own name
    std::vector<std::string> env;  // K=V, the whole environment
    std::optional<Identity> become = {}; // none: as this process
    std::array<int, kSpawnFds> fds = {-1, -1, -1, -1, -1, -1}; // what becomes descriptors 0 to 5; -1: closed
};

struct Spawned {
    pid_t pid;
    UniqueFd pidfd;
    UniqueFd news; // for start_news; non-blocking
};

// The child is a session of its own, with default signal dispositions, none blocked, and the limit of descriptors that
// this process was started with. It is reaped by whoever has the pidfd.
Result<Spawned> spawn(const SpawnOptions &options);

// What a child tells by its pipe. Pure.
struct SpawnFailure {
    uint32_t step;
    int32_t error;
};
std::string describe(const SpawnFailure &failure, const std::string &program);

// Pending: it is not the program yet. Failed: the child ends; the text names the step and the system's reason.
struct StartNews {
    enum class State { Pending, Started, Failed } state;
    std::string text = {};
};
StartNews start_news(int news, const std::string &program);

} // namespace berth
