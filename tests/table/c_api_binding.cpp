// The table over berth.h itself. It is C++ for the table's sake; every call of berth's is C's.
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "binding.h"
#include "cbor_text.h"
#include "host.h"
#include "processes.h"

namespace berth::table {
namespace {

using test::eventually;
using test::Record;

Reply reply_of(int ret, const std::string &bytes) {
    Reply reply{berth_ret_name(ret), bytes, {}};
    if (ret == BERTH_RET_WORKER_DIED) {
        auto number = [&](const char *key) {
            int64_t value = test::number_at(bytes, key);
            return value < 0 ? std::nullopt : std::optional(value);
        };
        reply.died = Death{number("/signal"), number("/status"), test::number_at(bytes, "/pid")};
    }
    return reply;
}

Reply taken(berth_reply &raw) {
    Reply reply = reply_of(raw.ret, {reinterpret_cast<const char *>(raw.data), raw.len});
    berth_reply_free(&raw);
    return reply;
}

struct Listener {
    uint64_t id = 0;
    std::mutex lock;
    std::condition_variable came;
    std::deque<std::string> payloads;

    static void note(int, const uint8_t *data, size_t len, void *user_data) {
        auto *self = static_cast<Listener *>(user_data);
        std::lock_guard guard(self->lock);
        self->payloads.emplace_back(reinterpret_cast<const char *>(data), len);
        self->came.notify_all();
    }
};

struct Pending {
    uint64_t id = 0;
    Record record;
};

class CApiContext : public Context {
  public:
    explicit CApiContext(berth_context handle) : handle_(handle) {}
    ~CApiContext() override { close(); }

    Reply call(const std::string &method, const std::string &input, int timeout_ms) override {
        uint32_t id;
        if (int ret = berth_method(handle_, method.c_str(), &id))
            return reply_of(ret, "");
        berth_reply raw;
        berth_call(handle_, id, input.data(), input.size(), timeout_ms, &raw);
        return taken(raw);
    }
    void submit(const std::string &id, const std::string &method, const std::string &input) override {
        Pending &pending = pending_[id];
        uint32_t method_id;
        int ret = berth_method(handle_, method.c_str(), &method_id);
        if (ret == BERTH_RET_OK)
            ret = berth_submit(handle_, method_id, input.data(), input.size(), Record::callback, &pending.record,
                               &pending.id);
        if (ret != BERTH_RET_OK)
            pending.record.note(ret, nullptr, 0);
    }
    Reply wait(const std::string &id) override {
        Record &record = pending_.at(id).record;
        bool answered = eventually([&] { return record.answered(); });
        return answered ? reply_of(record.ret, record.bytes) : Reply{};
    }
    void cancel(const std::string &id) override { berth_cancel(handle_, pending_.at(id).id); }

    Reply listen(const std::string &event) override {
        Listener &listener = listeners_[event];
        return reply_of(berth_listen(handle_, event.c_str(), Listener::note, &listener, &listener.id), "");
    }
    std::vector<std::string> take(const std::string &event, size_t count) override {
        Listener &listener = listeners_.at(event);
        std::unique_lock guard(listener.lock);
        listener.came.wait_for(guard, test::kHangBound, [&] { return listener.payloads.size() >= count; });
        std::vector<std::string> out;
        for (; out.size() < count && !listener.payloads.empty(); listener.payloads.pop_front())
            out.push_back(std::move(listener.payloads.front()));
        return out;
    }
    Reply unlisten(const std::string &event) override {
        int ret = berth_unlisten(handle_, listeners_.at(event).id);
        listeners_.erase(event);
        return reply_of(ret, "");
    }
    Closed close() override {
        if (closed_)
            return {};
        closed_ = true;
        for (auto &[event, listener] : listeners_)
            berth_unlisten(handle_, listener.id); // from here on it is not in its callback
        int ret = berth_close(handle_, Record::callback, &close_);
        if (ret != BERTH_RET_OK)
            return {berth_ret_name(ret), "", 0};
        if (!eventually([&] { return close_.answered(); }))
            return {};
        return {berth_ret_name(close_.ret), test::text_at(close_.bytes, "/outcome"),
                static_cast<uint64_t>(test::number_at(close_.bytes, "/cut_off"))};
    }

  private:
    berth_context handle_;
    bool closed_ = false;
    Record close_;
    std::map<std::string, Pending> pending_;
    std::map<std::string, Listener> listeners_;
};

class CApiBinding : public Binding {
  public:
    Opened open(const std::string &module, const std::string &config, uint32_t max_in_flight) override {
        berth_open_options options{};
        options.size = sizeof options;
        options.max_in_flight = max_in_flight;
        berth_context handle;
        berth_reply why;
        int ret = berth_open(host_.handle(), module.c_str(), config.data(), config.size(), &options, &handle, &why);
        Reply reply = taken(why);
        return {reply, ret == BERTH_RET_OK ? std::make_shared<CApiContext>(handle) : nullptr};
    }
    Reply call_static(const std::string &module, const std::string &method, const std::string &input,
                      int timeout_ms) override {
        berth_reply raw;
        berth_call_static(host_.handle(), module.c_str(), method.c_str(), input.data(), input.size(), timeout_ms, &raw);
        return taken(raw);
    }

  private:
    test::Host host_;
};

} // namespace

const char *const kBindingName = "C API";
std::unique_ptr<Binding> connect_binding() { return std::make_unique<CApiBinding>(); }

} // namespace berth::table
