#include "backend.h"
#include "direct_module.h"
#include "processes.h"

namespace berth::test {
namespace {

std::string library_of(const std::string &module) {
    return needed_variable(module == "echo" ? "BERTH_ECHO_SO" : "BERTH_SQLITE_SO");
}

class DirectInstance : public Instance {
  public:
    explicit DirectInstance(std::unique_ptr<DirectModule> module) : module_(std::move(module)) {}

    uint64_t submit(const std::string &method, const std::string &data) override {
        return module_->submit(method, data);
    }
    Answer wait(uint64_t request) override {
        auto answer = module_->wait(request, kHangBound);
        return answer ? Answer{answer->ret, answer->bytes} : Answer{};
    }
    bool answered_twice(uint64_t) override { return module_->stray_answers() > 0; }
    int cancel(uint64_t request) override {
        module_->cancel(request);
        return 0;
    }
    std::vector<uint64_t> order() override { return module_->answered(); }
    void listen(const std::string &event) override {
        event_ = event;
        module_->listen(true);
    }
    std::vector<std::string> events(size_t count) override {
        std::vector<std::string> payloads;
        for (const auto &event : module_->wait_events(count, kHangBound))
            if (event.name == event_)
                payloads.push_back(event.bytes);
        return payloads;
    }

  private:
    std::unique_ptr<DirectModule> module_;
    std::string event_;
};

class DirectBackend : public Backend {
  public:
    const char *name() const override { return "module called directly"; }
    bool hosted() const override { return false; }
    using Backend::open;
    std::unique_ptr<Instance> open(const std::string &module, const std::string &config, std::string *why) override {
        auto loaded = DirectModule::load(library_of(module), why);
        if (!loaded || !loaded->create(config, why))
            return nullptr;
        return std::make_unique<DirectInstance>(std::move(loaded));
    }
    Answer call_static(const std::string &module, const std::string &method) override {
        std::string why;
        auto loaded = DirectModule::load(library_of(module), &why);
        auto answer = loaded ? loaded->call(method, "") : DirectAnswer{-1, why};
        return {answer.ret, answer.bytes};
    }
};

} // namespace

std::unique_ptr<Backend> direct_backend() { return std::make_unique<DirectBackend>(); }

} // namespace berth::test
