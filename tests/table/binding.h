// A language's way to berth, as the conformance table needs it: tests/conformance/table.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace berth::table {

struct Death {
    std::optional<int64_t> signal, status;
    int64_t pid = -1;
};

// Rets are by the names of berth_ret_name; one that is empty: there was no answer within the bound.
struct Reply {
    std::string ret;
    std::string bytes;
    std::optional<Death> died;
};

struct Closed {
    std::string ret;
    std::string outcome;
    uint64_t cut_off = 0;
};

class Context {
  public:
    virtual ~Context() = default; // closes what is open, and waits for its callbacks
    virtual Reply call(const std::string &method, const std::string &input, int timeout_ms) = 0;
    virtual void submit(const std::string &id, const std::string &method, const std::string &input) = 0;
    virtual Reply wait(const std::string &id) = 0;
    virtual void cancel(const std::string &id) = 0;
    virtual Reply listen(const std::string &event) = 0;
    virtual std::vector<std::string> take(const std::string &event, size_t count) = 0; // fewer: time was up
    virtual Reply unlisten(const std::string &event) = 0;
    virtual Closed close() = 0;
};

struct Opened {
    Reply reply;
    std::shared_ptr<Context> context; // when the ret is OK
};

class Binding {
  public:
    virtual ~Binding() = default;
    virtual Opened open(const std::string &module, const std::string &config, uint32_t max_in_flight) = 0;
    virtual Reply call_static(const std::string &module, const std::string &method, const std::string &input,
                              int timeout_ms) = 0;
};

// With a private supervisor. Each executable has one.
std::unique_ptr<Binding> connect_binding();
extern const char *const kBindingName;

} // namespace berth::table
