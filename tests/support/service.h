// A berthd of the test's own, on a socket in a folder of its own.
#pragma once

#include <string>
#include <vector>

#include "processes.h"

namespace berth::test {

class Service {
  public:
    struct Options {
        std::string modules;   // folder; empty: the build tree's
        bool by_systemd = false; // pass the listening socket as systemd does
        uid_t uid = 0;           // as that user and its group of the same number; 0: as the test
        std::string socket;      // its path; empty: one in a folder of its own
    };
    Service() : Service(Options{}) {}
    explicit Service(const Options &options);
    ~Service(); // stop()
    Service(const Service &) = delete;

    const std::string &socket() const { return socket_; }
    // Lets other users at the socket, and at the folder that it is in.
    void open_to_all() const;
    pid_t pid() const { return pid_; }
    std::string log() const { return read_file(folder_ / "log"); }
    bool logs(const std::string &text) const; // within 15 s
    size_t times_logged(const std::string &text) const; // in all its lives
    void send(int signal);
    // SIGTERM; checks that it exits with 0.
    void stop();
    // SIGKILL; it counts as stopped.
    void kill();
    // Another berthd at the same path (the same listening socket, by systemd), once the last one has ended.
    void start_again();

  private:
    void start();
    int wait();
    TempDir folder_;
    std::string socket_, modules_;
    uid_t uid_;
    int listening_ = -1; // with by_systemd
    pid_t pid_ = -1;
};

} // namespace berth::test
