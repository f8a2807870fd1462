// The table over berth.hpp.
#include <berth/berth.hpp>
#include <deque>

#include "binding.h"

namespace berth::table {
namespace {

constexpr Milliseconds kHangBound{60000};

Reply reply_of(int ret, const std::string &bytes) {
    Reply reply{berth_ret_name(ret), bytes, {}};
    if (ret == BERTH_RET_WORKER_DIED) {
        berth::Death death = *berth::Error(ret, bytes).death();
        reply.died = Death{death.signal, death.status, death.pid};
    }
    return reply;
}
Reply reply_of(const berth::Error &error) { return reply_of(error.ret(), error.text()); }
Reply reply_of(const berth::Result<berth::Reply> &result) {
    return result ? reply_of(BERTH_RET_OK, result->bytes().str()) : reply_of(result.error());
}
template <class T> Reply ret_of(const berth::Result<T> &result) {
    return result ? reply_of(BERTH_RET_OK, "") : reply_of(result.error());
}

struct Events {
    std::uint64_t id = 0;
    std::mutex lock;
    std::condition_variable came;
    std::deque<std::string> payloads;
};

struct Pending {
    std::uint64_t id = 0;
    std::future<berth::Result<berth::Reply>> answer;
};

class CppContext : public Context {
  public:
    explicit CppContext(berth::Context context) : context_(std::move(context)) {}

    Reply call(const std::string &method, const std::string &input, int timeout_ms) override {
        return reply_of(context_.call(method, input, Milliseconds(timeout_ms)));
    }
    void submit(const std::string &id, const std::string &method, const std::string &input) override {
        Pending &pending = pending_[id];
        pending.answer = context_.async(method, input, &pending.id);
    }
    Reply wait(const std::string &id) override {
        auto &answer = pending_.at(id).answer;
        return answer.wait_for(kHangBound) == std::future_status::ready ? reply_of(answer.get()) : Reply{};
    }
    void cancel(const std::string &id) override { static_cast<void>(context_.cancel(pending_.at(id).id)); }

    Reply listen(const std::string &event) override {
        auto events = std::make_shared<Events>();
        auto heard = [events](berth::Bytes payload) {
            std::lock_guard guard(events->lock);
            events->payloads.push_back(payload.str());
            events->came.notify_all();
        };
        berth::Result<std::uint64_t> listener = context_.listen(event, heard);
        if (listener)
            events->id = *listener;
        events_[event] = events;
        return ret_of(listener);
    }
    std::vector<std::string> take(const std::string &event, size_t count) override {
        Events &events = *events_.at(event);
        std::unique_lock guard(events.lock);
        events.came.wait_for(guard, kHangBound, [&] { return events.payloads.size() >= count; });
        std::vector<std::string> out;
        for (; out.size() < count && !events.payloads.empty(); events.payloads.pop_front())
            out.push_back(std::move(events.payloads.front()));
        return out;
    }
    Reply unlisten(const std::string &event) override { return ret_of(context_.unlisten(events_.at(event)->id)); }
    Closed close() override {
        berth::Result<berth::Closed> closed = context_.close();
        if (!closed)
            return {closed.error().name(), "", 0};
        static const char *const names[] = {"drained", "cancelled", "killed"};
        return {"OK", names[static_cast<int>(closed->outcome)], closed->cut_off};
    }

  private:
    std::map<std::string, Pending> pending_;
    std::map<std::string, std::shared_ptr<Events>> events_;
    berth::Context context_; // last: it closes first, and then no callback runs
};

class CppBinding : public Binding {
  public:
    CppBinding() : client_(connected()) {}

    Opened open(const std::string &module, const std::string &config, uint32_t max_in_flight) override {
        OpenOptions options;
        options.max_in_flight = max_in_flight;
        berth::Result<berth::Context> context = client_.open(module, config, options);
        Reply reply = ret_of(context);
        return {reply, context ? std::make_shared<CppContext>(*std::move(context)) : nullptr};
    }
    Reply call_static(const std::string &module, const std::string &method, const std::string &input,
                      int timeout_ms) override {
        return reply_of(client_.call_static(module, method, input, Milliseconds(timeout_ms)));
    }

  private:
    static Client connected() {
        ConnectOptions options;
        options.supervisor = ConnectOptions::Supervisor::Private;
        return Client::connect(options).value();
    }
    Client client_;
};

} // namespace

const char *const kBindingName = "C++";
std::unique_ptr<Binding> connect_binding() { return std::make_unique<CppBinding>(); }

} // namespace berth::table
