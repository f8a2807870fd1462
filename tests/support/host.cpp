#include "host.h"

#include <cstring>
#include <doctest/doctest.h>

#include "cbor_text.h"
#include "control.h"

namespace berth::test {
namespace {

Answer taken(berth_reply &reply) {
    Answer answer{reply.ret, {reinterpret_cast<const char *>(reply.data), reply.len}};
    berth_reply_free(&reply);
    return answer;
}

} // namespace

Host::Host() {
    berth_options options{};
    options.flags = BERTH_PRIVATE;
    connect(options);
}

Host::Host(const std::string &socket) {
    berth_options options{};
    options.flags = BERTH_NO_PRIVATE;
    options.socket_path = socket.c_str();
    connect(options);
}

Host::Host(Private, const std::string &module_dir) {
    berth_options options{};
    options.flags = BERTH_PRIVATE;
    options.module_dir = module_dir.c_str();
    connect(options);
}

void Host::connect(const berth_options &given) {
    berth_options options = given;
    options.size = sizeof options;
    REQUIRE(berth_connect(&options, &client_) == BERTH_RET_OK);
}

Host::~Host() {
    if (client_.bits)
        CHECK(berth_disconnect(client_) == BERTH_RET_OK);
}

Answer Host::status() const {
    berth_reply reply;
    berth_status(client_, &reply);
    return taken(reply);
}

Answer Host::crashes() const {
    berth_reply reply;
    berth_crashes(client_, &reply);
    return taken(reply);
}

Answer Host::reset(const std::string &module) const {
    berth_reply reply;
    berth_reset(client_, module.c_str(), &reply);
    return taken(reply);
}

std::vector<pid_t> Host::workers() const {
    std::vector<pid_t> pids;
    std::string status = this->status().bytes;
    for (size_t i = 0;; i++) {
        int64_t pid = number_at(status, "/workers/" + std::to_string(i) + "/pid");
        if (pid < 0)
            return pids;
        pids.push_back(static_cast<pid_t>(pid));
    }
}

// Tests send signals to it: to -1 they would go to everybody.
static pid_t pid_at(const std::string &status, const char *where) {
    auto pid = static_cast<pid_t>(number_at(status, where));
    REQUIRE(pid > 1);
    return pid;
}

pid_t Host::worker() const { return pid_at(status().bytes, "/contexts/0/worker_pid"); }

pid_t Host::supervisor() const { return pid_at(status().bytes, "/daemon/pid"); }

uint32_t method_id(const std::string &name) { return berth_method_id(name.data(), name.size()); }

Answer open_answer(const Host &host, const std::string &module, const std::string &config, berth_context *out,
                   const OpenOptions &options) {
    berth_open_options given{};
    given.size = sizeof given;
    given.max_in_flight = options.max_in_flight;
    given.stale_warn_ms = options.stale_warn_ms;
    given.open_timeout_ms = options.timeout_ms;
    given.flags = options.flags;
    berth_context ignored{0};
    berth_reply why;
    int ret = berth_open(host.handle(), module.c_str(), config.data(), config.size(), &given, out ? out : &ignored, &why);
    CHECK(ret == why.ret);
    return taken(why);
}

Context::Context(const Host &host, const std::string &module, const std::string &config, const OpenOptions &options) {
    Answer answer = open_answer(host, module, config, &context_, options);
    REQUIRE_MESSAGE(answer.ret == BERTH_RET_OK, answer.bytes);
}

Context::~Context() {
    if (context_.bits)
        berth_close(context_, nullptr, nullptr);
}

Answer Context::call(const std::string &method, const std::string &data, int timeout_ms) const {
    berth_reply reply;
    int ret = berth_call(context_, method_id(method), data.data(), data.size(), timeout_ms, &reply);
    Answer answer = taken(reply);
    if (ret != answer.ret)
        answer.ret = -2;
    return answer;
}

int Context::submit(const std::string &method, const std::string &data, berth_callback callback, void *user_data,
                    uint64_t *id) const {
    return berth_submit(context_, method_id(method), data.data(), data.size(), callback, user_data, id);
}

int Context::close() {
    int ret = berth_close(context_, nullptr, nullptr);
    context_.bits = 0;
    return ret;
}

void Record::note(int r, const uint8_t *data, size_t len) {
    if (r == BERTH_RET_STALE_WARN) {
        pings++;
        pings_after += terminal.load() > 0;
        return;
    }
    bytes.assign(reinterpret_cast<const char *>(data), len);
    ret = r;
    terminal++;
}

int reap_into_records(berth_context context, int timeout_ms) {
    berth_completion batch[64];
    int count = berth_reap(context, batch, 64, timeout_ms);
    for (int i = 0; i < count; i++)
        if (batch[i].user_data)
            static_cast<Record *>(batch[i].user_data)->note(batch[i].ret, batch[i].data, batch[i].len);
    return count;
}

} // namespace berth::test
