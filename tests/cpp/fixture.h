// What the tests of berth.hpp share.
#pragma once

#include <berth/berth.hpp>
#include <doctest/doctest.h>
#include <thread>

#include "cbor_text.h"
#include "leak_check.h"
#include "processes.h"

namespace berth::test {

constexpr Milliseconds kMinute{60000};

// With a private supervisor.
inline Client connected(const std::string &module_dir = "") {
    ConnectOptions options;
    options.supervisor = ConnectOptions::Supervisor::Private;
    options.module_dir = module_dir;
    return Client::connect(options).value();
}

// By the supervisor's status.
inline int64_t status_number(const Client &client, const std::string &pointer) {
    return number_at(client.status().value().bytes().str(), pointer);
}
inline pid_t worker_of(const Client &client) {
    return static_cast<pid_t>(status_number(client, "/contexts/0/worker_pid"));
}
inline bool has_contexts(const Client &client) { return worker_of(client) > 0; }

// Lets a callback wait until the test says so.
class Gate {
  public:
    void open() {
        std::lock_guard guard(lock_);
        open_ = true;
        changed_.notify_all();
    }
    // False: nobody opened it within the hang bound.
    bool pass() {
        std::unique_lock guard(lock_);
        return changed_.wait_for(guard, kHangBound, [this] { return open_; });
    }

  private:
    std::mutex lock_;
    std::condition_variable changed_;
    bool open_ = false;
};

} // namespace berth::test
