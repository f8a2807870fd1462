// Processes, files and waiting, as the tests need them.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace berth::test {

constexpr std::chrono::seconds kHangBound{60};

// Asks until it is so. False: the bound has passed.
bool eventually(const std::function<bool()> &so, std::chrono::milliseconds bound = kHangBound);
void sleep_ms(int ms);

std::string read_file(const std::string &path);
void write_file(const std::string &path, const std::string &text);
// How many a folder has; 0 when it is not there.
size_t entries(const std::string &folder);
// From the environment; aborts the test when it is not there.
std::string needed_variable(const char *name);

// Runs and is no zombie.
bool alive(pid_t pid);
bool gone_soon(pid_t pid);
// Ends a child, takes its status, and makes `pid` -1. Nothing, if that is what it is.
void kill_child(pid_t &pid);
// fork(); under a sanitizer that does not bear it while other threads are busy, once they sleep.
pid_t fork_in_peace();
// What the body returns, in a child of this process; -1 when it ends in another way.
int in_a_fork(const std::function<int()> &body);
std::string command_of(pid_t pid);
// Processes berthd, berth-worker and berth-zygote that this program's tests started: they carry its mark in their
// environment.
std::vector<pid_t> own_processes(const std::string &command = "");
void mark_environment();

class TempDir {
  public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir &) = delete;
    const std::string &path() const { return path_; }
    std::string operator/(const std::string &name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

} // namespace berth::test
