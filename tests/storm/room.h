// A context in a storm, with everything that was asked of it.
#pragma once

#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "tally.h"
#include "watch.h"

namespace berth::test {

// What a case has to do with: a connection, where to tell, and its own randomness.
struct Scene {
    const std::string &socket;
    berth_client client;
    Tally &tally;
    Watch &watch;
    std::mt19937 random;
    bool calm; // nobody is killed
    uint32_t up_to(uint32_t most) { return random() % (most + 1); }
};

class Room {
  public:
    static constexpr int kPatience = -1; // no deadline but our patience

    struct Options {
        uint32_t flags = 0, max_in_flight = 0, stale_warn_ms = UINT32_MAX, open_timeout_ms = 5000;
    };
    Room(Scene &scene, const Options &options);
    ~Room(); // closes it, and waits for all its answers
    Room(const Room &) = delete;

    bool opened() const { return opened_; }
    berth_context handle() const { return context_; }
    // Any thread. What berth_call or berth_submit returned; answers are judged here.
    int call(const std::string &text);
    int call_later(uint32_t ms, const std::string &text, int timeout_ms = kPatience);
    int submit_later(uint32_t ms, const std::string &text, bool by_callback = true);
    // Cancels one of the last requests, which may have its answer and its slot another request.
    void cancel_one(uint32_t which);
    void emit(int count, int bytes);
    int reap(int timeout_ms);
    void all_answered(); // waits for it; with by_callback only

  private:
    struct Asked {
        std::string expected;
        Record record;
        uint64_t id = 0;
        std::atomic<bool> cancelled{false};
    };
    int call_as(const char *method, const std::string &data, const std::string &text, int timeout_ms);
    void judge(Asked &asked);
    void close();

    Scene &scene_;
    bool opened_ = false;
    berth_context context_{0};
    std::mutex mutex_; // of asked_
    std::vector<std::unique_ptr<Asked>> asked_;
};

} // namespace berth::test
