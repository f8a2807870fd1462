#include <condition_variable>
#include <map>
#include <mutex>

#include "backend.h"
#include "processes.h"
#include "service.h"

namespace berth::test {
namespace {

struct Events {
    std::mutex lock;
    std::condition_variable changed;
    std::vector<std::string> payloads;

    static void note(int, const uint8_t *data, size_t len, void *user_data) {
        auto *self = static_cast<Events *>(user_data);
        std::lock_guard guard(self->lock);
        self->payloads.emplace_back(reinterpret_cast<const char *>(data), len);
        self->changed.notify_all();
    }
};

// One request's record, which also tells the order of the answers.
struct Pending {
    Record record;
    std::mutex *lock;
    std::vector<uint64_t> *order;
    uint64_t number;

    static void note(int ret, const uint8_t *data, size_t len, void *user_data) {
        auto *self = static_cast<Pending *>(user_data);
        if (ret != BERTH_RET_STALE_WARN) {
            std::lock_guard guard(*self->lock);
            self->order->push_back(self->number);
        }
        self->record.note(ret, data, len);
    }
};

class HostedInstance : public Instance {
  public:
    HostedInstance(const Host &host, const std::string &module, const std::string &config)
        : context_(std::make_unique<Context>(host, module, config)) {}
    ~HostedInstance() override {
        context_->close();
        for (const auto &[number, pending] : pending_) // the callbacks' thread outlives the close by a moment
            eventually([&] { return pending->record.answered(); });
        context_.reset();
    }

    // Requests are numbered here; the library's ids are kept for cancel.
    uint64_t submit(const std::string &method, const std::string &data) override {
        uint64_t number = ++last_;
        auto &pending = pending_[number] = std::make_unique<Pending>();
        pending->lock = &lock_;
        pending->order = &order_;
        pending->number = number;
        int ret;
        while ((ret = context_->submit(method, data, Pending::note, pending.get(), &ids_[number])) ==
               BERTH_RET_QUEUE_FULL)
            sleep_ms(1); // back-pressure is not this suite's topic
        if (ret != BERTH_RET_OK)
            pending->record.note(ret, nullptr, 0);
        return number;
    }
    Answer wait(uint64_t request) override {
        const Record &record = pending_.at(request)->record;
        bool came = eventually([&] { return record.answered(); });
        return came ? Answer{record.ret, record.bytes} : Answer{};
    }
    bool answered_twice(uint64_t request) override { return pending_.at(request)->record.terminal > 1; }
    int cancel(uint64_t request) override { return berth_cancel(context_->handle(), ids_.at(request)); }
    std::vector<uint64_t> order() override {
        std::lock_guard guard(lock_);
        return order_;
    }
    void listen(const std::string &event) override {
        berth_listen(context_->handle(), event.c_str(), Events::note, &events_, nullptr);
    }
    std::vector<std::string> events(size_t count) override {
        std::unique_lock guard(events_.lock);
        events_.changed.wait_for(guard, kHangBound, [&] { return events_.payloads.size() >= count; });
        return events_.payloads;
    }
    // Blocking, where the suite does not need both.
    Answer call(const std::string &method, const std::string &data) override { return context_->call(method, data); }
    const Context *context() const override { return context_.get(); }

  private:
    Events events_;
    std::mutex lock_;
    std::vector<uint64_t> order_;
    uint64_t last_ = 0;
    std::map<uint64_t, std::unique_ptr<Pending>> pending_;
    std::map<uint64_t, uint64_t> ids_;
    std::unique_ptr<Context> context_;
};

class HostedBackend : public Backend {
  public:
    HostedBackend(const char *name, std::unique_ptr<Service> service)
        : name_(name), service_(std::move(service)),
          host_(service_ ? std::make_unique<Host>(service_->socket()) : std::make_unique<Host>()) {}
    const char *name() const override { return name_; }
    using Backend::open;
    std::unique_ptr<Instance> open(const std::string &module, const std::string &config, std::string *why) override {
        Answer first = open_answer(*host_, module, config, &probe_);
        if (first.ret != BERTH_RET_OK) {
            *why = first.bytes;
            return nullptr;
        }
        berth_close(probe_, nullptr, nullptr);
        return std::make_unique<HostedInstance>(*host_, module, config);
    }
    Answer call_static(const std::string &module, const std::string &method) override {
        berth_reply reply;
        berth_call_static(host_->handle(), module.c_str(), method.c_str(), nullptr, 0, 60000, &reply);
        Answer answer{reply.ret, {reinterpret_cast<const char *>(reply.data), reply.len}};
        berth_reply_free(&reply);
        return answer;
    }

  private:
    const char *name_;
    std::unique_ptr<Service> service_;
    std::unique_ptr<Host> host_;
    berth_context probe_{0};
};

} // namespace

std::unique_ptr<Backend> private_backend() { return std::make_unique<HostedBackend>("private supervisor", nullptr); }
std::unique_ptr<Backend> service_backend() {
    return std::make_unique<HostedBackend>("service", std::make_unique<Service>());
}

} // namespace berth::test
