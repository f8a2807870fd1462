#include "room.h"

#include <algorithm>

#include "cbor_text.h"
#include "processes.h"

namespace berth::test {

Room::Room(Scene &scene, const Options &options) : scene_(scene) {
    berth_open_options given{};
    given.size = sizeof given;
    given.flags = options.flags;
    given.max_in_flight = options.max_in_flight;
    given.stale_warn_ms = options.stale_warn_ms;
    given.open_timeout_ms = options.open_timeout_ms;
    Watch::Within within(scene.watch, "berth_open", static_cast<int>(options.open_timeout_ms));
    int ret = berth_open(scene.client, "echo", nullptr, 0, &given, &context_, nullptr);
    opened_ = ret == BERTH_RET_OK;
    (opened_ ? scene.tally.opened : scene.tally.refused)++;
    if (!opened_ && scene.calm)
        scene.tally.fault(std::string("an open of a calm case: ") + berth_ret_name(ret));
}

Room::~Room() {
    if (!opened_)
        return;
    close();
    for (auto &asked : asked_) {
        Watch::Within within(scene_.watch, "an answer, after the close", 0);
        eventually([&] { return asked->record.answered(); });
        judge(*asked);
    }
}

int Room::call_as(const char *method, const std::string &data, const std::string &text, int timeout_ms) {
    bool patient = timeout_ms == kPatience;
    if (patient)
        timeout_ms = static_cast<int>(patience().count()) * 1000;
    Watch::Within within(scene_.watch, "berth_call", timeout_ms);
    berth_reply reply;
    auto began = std::chrono::steady_clock::now();
    int ret = berth_call(context_, method_id(method), data.data(), data.size(), timeout_ms, &reply);
    // A restart that has failed may be a TIMEOUT, too: at once.
    if (ret == BERTH_RET_TIMEOUT && patient && std::chrono::steady_clock::now() - began >= patience())
        scene_.tally.fault("a call's answer never came");
    else if (ret != BERTH_RET_BUSY && ret != BERTH_RET_INVALID_CTX)
        scene_.tally.judge(ret, {reinterpret_cast<const char *>(reply.data), reply.len}, text);
    berth_reply_free(&reply);
    return ret;
}

int Room::call(const std::string &text) { return call_as("echo", text, text, kPatience); }

int Room::call_later(uint32_t ms, const std::string &text, int timeout_ms) {
    return call_as("later", later_request(ms, text), text, timeout_ms);
}

int Room::submit_later(uint32_t ms, const std::string &text, bool by_callback) {
    auto asked = std::make_unique<Asked>();
    asked->expected = text;
    std::string data = later_request(ms, text);
    int ret = berth_submit(context_, method_id("later"), data.data(), data.size(),
                           by_callback ? Record::callback : nullptr, &asked->record, &asked->id);
    if (ret == BERTH_RET_OK) {
        std::lock_guard lock(mutex_);
        asked_.push_back(std::move(asked));
    }
    return ret;
}

void Room::cancel_one(uint32_t which) {
    Asked *asked;
    {
        std::lock_guard lock(mutex_);
        if (asked_.empty())
            return;
        asked = asked_[asked_.size() - 1 - which % std::min<size_t>(asked_.size(), 8)].get();
    }
    if (berth_cancel(context_, asked->id) == BERTH_RET_OK)
        asked->cancelled = true;
}

void Room::emit(int count, int bytes) {
    std::string data = cbor(R"({"count": )" + std::to_string(count) + R"(, "bytes": )" + std::to_string(bytes) + "}");
    berth_submit(context_, method_id("emit"), data.data(), data.size(), [](int, const uint8_t *, size_t, void *) {},
                 nullptr, nullptr);
}

int Room::reap(int timeout_ms) {
    Watch::Within within(scene_.watch, "berth_reap", timeout_ms);
    return reap_into_records(context_, timeout_ms);
}

void Room::all_answered() {
    std::vector<Asked *> all;
    {
        std::lock_guard lock(mutex_);
        for (auto &asked : asked_)
            all.push_back(asked.get());
    }
    for (Asked *asked : all) {
        Watch::Within within(scene_.watch, "an answer to berth_submit", 0);
        eventually([&] { return asked->record.answered(); });
    }
}

void Room::judge(Asked &asked) {
    const Record &record = asked.record;
    if (record.terminal != 1)
        scene_.tally.fault(std::to_string(record.terminal) + " answers to \"" + asked.expected + '"');
    else if (asked.cancelled != (record.ret == BERTH_RET_CANCELLED))
        scene_.tally.fault(std::string(asked.cancelled ? "cancelled, and answered " : "not cancelled, and answered ") +
                           berth_ret_name(record.ret));
    else
        scene_.tally.judge(record.ret, record.bytes, asked.expected);
    if (record.pings_after)
        scene_.tally.fault("a STALE_WARN after the answer");
}

void Room::close() {
    Watch::Within within(scene_.watch, "berth_close", 15000); // drain, cut, teardown
    if (scene_.random() % 2) {
        berth_close(context_, nullptr, nullptr);
    } else {
        Record closed;
        if (berth_close(context_, Record::callback, &closed) == BERTH_RET_OK)
            eventually([&] { return closed.answered(); });
    }
    while (reap(0) > 0) { // what is left for berth_reap
    }
}

} // namespace berth::test
