// One suite, three ways to reach a module: called directly, through a private supervisor, through a service.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host.h"
#include "leak_check.h"

namespace berth::test {

// A module with a context. Made by Backend::open.
class Instance {
  public:
    virtual ~Instance() = default; // closes
    virtual uint64_t submit(const std::string &method, const std::string &data) = 0;
    virtual Answer wait(uint64_t request) = 0; // once per request; ret -1: none within the hang bound
    virtual bool answered_twice(uint64_t request) = 0;
    virtual int cancel(uint64_t request) = 0; // a berth_ret; direct: always 0
    virtual std::vector<uint64_t> order() = 0; // of the answers so far

    virtual void listen(const std::string &event) = 0;
    virtual std::vector<std::string> events(size_t count) = 0; // payloads; fewer: time was up
    virtual Answer call(const std::string &method, const std::string &data) { return wait(submit(method, data)); }
    // What only a host has: NULL for the module called directly.
    virtual const Context *context() const { return nullptr; }
};

class Backend {
  public:
    virtual ~Backend() = default;
    virtual const char *name() const = 0;
    virtual bool hosted() const { return true; } // through libberth
    // NULL, with the reason in *why.
    virtual std::unique_ptr<Instance> open(const std::string &module, const std::string &config, std::string *why) = 0;
    virtual Answer call_static(const std::string &module, const std::string &method) = 0;

    std::unique_ptr<Instance> open(const std::string &module, const std::string &config = "");
};

std::unique_ptr<Backend> direct_backend();
std::unique_ptr<Backend> private_backend();
std::unique_ptr<Backend> service_backend();

// Runs `test` once per backend, and checks after each that nothing is left. One that is for hosted backends only says
// so about the module called directly.
enum class For { All, Hosted };
void on_every_backend(const std::function<void(Backend &)> &test, For which = For::All);

} // namespace berth::test
