// A module called directly: a small stand-in for the worker, in the test's own process.
//
// Like a worker it runs create, handle and destroy on one library thread, in order, hands over private copies that end
// with the call (so ASan sees a module that keeps one), takes answers from any thread, and cancels from another. The
// module ABI has no pointer of the worker's in its functions, so one DirectModule lives at a time; a second one waits.
#pragma once

#include "module.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace berth::test {

// One terminal answer; ret is a berth_ret: 0, 1, 9 too large, 11 cut off by destroy, 17 cancelled before it began.
struct DirectAnswer {
    int ret;
    std::string bytes;
    bool operator==(const DirectAnswer &) const = default;
};

struct DirectEvent {
    std::string name;
    std::string bytes;
};

class DirectModule {
  public:
    using Time = std::chrono::milliseconds;

    // NULL, with the reason in *why: dlerror, a missing entry point, another ABI, or what the module logged.
    static std::unique_ptr<DirectModule> load(const std::string &path, std::string *why);
    ~DirectModule(); // destroys the context, if there is one
    DirectModule(const DirectModule &) = delete;

    const struct berth_module &module() const { return *module_; }
    std::optional<uint32_t> method(std::string_view name) const;

    bool create(std::string_view config, std::string *why);
    void destroy(); // what has no answer by then is answered with 11

    // From any thread. A request to an unknown method, or to no context (but for static methods), is answered with 1.
    berth_request submit(std::string_view method, std::string_view data);
    // None: no answer in time. Each answer is given out once.
    std::optional<DirectAnswer> wait(berth_request request, Time timeout = Time(60000));
    // Submits and waits; when there is no answer in time, ret is 4 and the request goes on.
    DirectAnswer call(std::string_view method, std::string_view data, Time timeout = Time(60000));
    void cancel(berth_request request);

    // What it sent before its answer. This host reads it at once, however much it is.
    std::vector<std::string> take_data(berth_request request);

    void listen(bool wanted, size_t capacity = SIZE_MAX); // events are dropped when nobody listens or so many wait
    std::vector<DirectEvent> take_events();
    std::vector<DirectEvent> wait_events(size_t count, Time timeout = Time(60000)); // fewer: time was up

    std::vector<berth_request> answered() const; // in the order of their answers
    size_t stray_answers() const;                // second answers, and answers to nothing
    std::string logged() const;

  private:
    struct Waiting {
        std::optional<DirectAnswer> answer;
        bool begun = false;
    };

    DirectModule() = default;
    static const struct berth_worker *table();
    static int on_reply(berth_request request, int ret, const void *data, size_t len);
    static int on_emit(const char *name, const void *data, size_t len);
    static int on_data(berth_request request, const void *bytes, size_t len);
    static void on_log(const char *text);

    bool open(const std::string &path, std::string *why);
    int reply(berth_request request, DirectAnswer answer);
    int data(berth_request request, std::string bytes);
    int emit(DirectEvent event);
    void on_library_thread(std::function<void()> job);
    void run_library_thread();
    void handle(berth_request request, std::string_view method, std::string data);
    bool begin(berth_request request);

    std::unique_lock<std::mutex> turn_;
    void *library_ = nullptr;
    const struct berth_module *module_ = nullptr;
    void *instance_ = nullptr;
    bool created_ = false;
    std::mutex teardown_; // cancel never runs beside create or destroy

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> jobs_;
    bool stopping_ = false;
    berth_request last_request_ = 0;
    std::map<berth_request, Waiting> waiting_;
    std::map<berth_request, std::vector<std::string>> data_;
    std::vector<berth_request> answered_;
    std::vector<DirectEvent> events_;
    bool listening_ = true;
    size_t event_capacity_ = SIZE_MAX;
    size_t strays_ = 0;
    std::string log_;
    std::thread library_thread_;
};

} // namespace berth::test
