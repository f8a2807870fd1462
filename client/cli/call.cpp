// `berth call`. With events asked for, one thread takes answer and events by berth_reap, so that what is printed has
// one order and nothing comes after the end; without, it is a plain berth_call.
#include <cstdio>
#include <optional>

#include "answer.h"
#include "clock.h"
#include "commands.h"
#include "raw_request.h"
#include "session.h"
#include "status.h"

namespace berth::cli {
namespace {

Answer answer_of(int ret, ByteView data) { return {ret, berth_ret_name(ret), Bytes(data.begin(), data.end()), {}, 0}; }

Answer answer_of(const Error &error) {
    return answer_of(error.ret, {reinterpret_cast<const uint8_t *>(error.text.data()), error.text.size()});
}

void print_event(const Event &event, bool json) {
    fprintf(stderr, "%s\n", json ? dump(event_to_json(event)).c_str() : event_line(event).c_str());
}

// Waits for one request and shows the events that come meanwhile.
class Watch {
  public:
    Watch(berth_context context, const CallOptions &options) : context_(context), options_(options) {}

    int listen() {
        for (const auto &name : options_.events) {
            uint64_t listener = 0;
            void *tag = const_cast<std::string *>(&name);
            if (int ret = berth_listen(context_, name.c_str(), nullptr, tag, &listener))
                return ret;
        }
        return BERTH_RET_OK;
    }

    Answer wait(uint64_t id) {
        uint64_t started = now_ns();
        while (!answer_) {
            int left = left_ms(started);
            int ret = reap(id, left);
            if (ret < 0 && ret != -BERTH_RET_TIMEOUT)
                return finish(answer_of(-ret, {}));
            if (ret <= 0 && left == 0) {
                berth_cancel(context_, id);
                return finish(answer_of(Error{BERTH_RET_TIMEOUT, BERTH_TEXT_TIMEOUT}));
            }
        }
        while (reap(id, 0) > 0) { // events that were sent before the answer
        }
        return finish(std::move(*answer_));
    }

  private:
    int left_ms(uint64_t started) const {
        if (options_.timeout_ms < 0)
            return -1;
        uint64_t spent = (now_ns() - started) / 1000000;
        uint64_t all = static_cast<uint64_t>(options_.timeout_ms);
        return spent >= all ? 0 : static_cast<int>(all - spent);
    }

    int reap(uint64_t id, int timeout_ms) {
        berth_completion batch[64];
        int count = berth_reap(context_, batch, 64, timeout_ms);
        for (int i = 0; i < count; i++)
            take(batch[i], id);
        return count;
    }

    void take(const berth_completion &done, uint64_t id) {
        ByteView data(done.data, done.data ? done.len : 0);
        if (done.kind == BERTH_EVENT && done.user_data) {
            events_.push_back({*static_cast<std::string *>(done.user_data), Bytes(data.begin(), data.end())});
            print_event(events_.back(), options_.json);
        } else if (done.kind == BERTH_REPLY && done.id == id) {
            answer_ = answer_of(done.ret, data);
        } else if (done.kind == BERTH_PROGRESS) {
            fprintf(stderr, "berth: no answer yet after %s ms\n", std::string(data.begin(), data.end()).c_str());
        }
    }

    Answer finish(Answer answer) {
        answer.events = std::move(events_);
        return answer;
    }

    berth_context context_;
    const CallOptions &options_;
    std::vector<Event> events_;
    std::optional<Answer> answer_;
};

Answer call_static(const Client &client, const CallOptions &options, const Bytes &request) {
    Reply reply;
    uint64_t started = now_ns();
    int ret = berth_call_static(client.get(), options.module.c_str(), options.method.c_str(), request.data(),
                                request.size(), options.timeout_ms, reply.raw());
    Answer answer = answer_of(ret, reply.bytes());
    answer.elapsed_us = (now_ns() - started) / 1000;
    return answer;
}

Answer call_watching(const Context &context, uint32_t id, const CallOptions &options, const Bytes &request) {
    Watch watch(context.get(), options);
    if (int ret = watch.listen())
        return answer_of(ret, {});
    uint64_t request_id = 0;
    int ret = berth_submit(context.get(), id, request.data(), request.size(), nullptr, nullptr, &request_id);
    return ret == BERTH_RET_OK ? watch.wait(request_id) : answer_of(ret, {});
}

Answer call_plain(const Context &context, uint32_t id, const CallOptions &options, const Bytes &request) {
    Reply reply;
    int ret = berth_call(context.get(), id, request.data(), request.size(), options.timeout_ms, reply.raw());
    return answer_of(ret, reply.bytes());
}

Answer call(const CallOptions &options, const Bytes &request, const Bytes &config) {
    auto client = connect(options.connect);
    if (!client)
        return answer_of(client.error());
    if (options.is_static)
        return call_static(*client, options, request);
    auto context = open(*client, options.module, config);
    if (!context)
        return answer_of(context.error());
    auto id = method(*context, options.method);
    if (!id)
        return answer_of(id.error());
    uint64_t started = now_ns();
    Answer answer = options.events.empty() ? call_plain(*context, *id, options, request)
                                           : call_watching(*context, *id, options, request);
    answer.elapsed_us = (now_ns() - started) / 1000;
    return answer;
}

int usage(const char *what, const Error &error) {
    fprintf(stderr, "berth: %s: %s\n", what, error.text.c_str());
    return kExitUsage;
}

void print(const CallOptions &options, const Answer &answer) {
    if (options.json)
        printf("%s\n", dump(answer_to_json(answer)).c_str());
    else if (answer.ret == BERTH_RET_OK)
        printf("%s\n", show_for_people(answer.data).c_str());
    if (answer.ret != BERTH_RET_OK)
        fprintf(stderr, "berth: %s\n", failure_line(options.module + "." + options.method, answer).c_str());
}

} // namespace

int run_call(const CallOptions &options) {
    auto request = options.raw.empty() ? encode_request(options.request) : read_raw_request(options.raw);
    if (!request)
        return usage(options.raw.empty() ? "the request" : "--raw", request.error());
    auto config = encode_request(options.config);
    if (!config)
        return usage("--config", config.error());
    Answer answer = call(options, *request, *config);
    print(options, answer);
    return exit_code_of(answer.ret);
}

} // namespace berth::cli
