// What a context says of itself: that its worker is stuck, stopped, dead or back, and what events were lost.
#include <csignal>
#include <deque>
#include <doctest/doctest.h>
#include <memory>
#include <mutex>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "policy_service.h"

using namespace berth::test;

namespace {

// A listener by callback: the payloads in the order in which they came.
class Heard {
  public:
    Heard(const Context &context, const char *name) : context_(context.handle()) {
        REQUIRE(berth_listen(context_, name, note, this, &listener_) == BERTH_RET_OK);
    }
    ~Heard() { berth_unlisten(context_, listener_); }
    size_t count() {
        std::lock_guard lock(lock_);
        return payloads_.size();
    }
    std::string operator[](size_t i) {
        std::lock_guard lock(lock_);
        return i < payloads_.size() ? payloads_[i] : "";
    }
    bool comes(size_t n = 1) {
        return eventually([&] { return count() >= n; });
    }

  private:
    static void note(int, const uint8_t *data, size_t len, void *user_data) {
        auto *self = static_cast<Heard *>(user_data);
        std::lock_guard lock(self->lock_);
        self->payloads_.emplace_back(reinterpret_cast<const char *>(data), len);
    }
    berth_context context_;
    uint64_t listener_ = 0;
    std::mutex lock_;
    std::deque<std::string> payloads_;
};

std::string ms(int n) { return cbor("{\"ms\": " + std::to_string(n) + "}"); }
std::string emit(int count, int bytes) {
    return cbor("{\"count\": " + std::to_string(count) + ", \"bytes\": " + std::to_string(bytes) + "}");
}

// Holds the event thread inside the first event until it is let go.
struct SlowListener {
    std::atomic<bool> go{false};
    std::atomic<int> events{0};
    static void run(int, const uint8_t *, size_t, void *user_data) {
        auto *self = static_cast<SlowListener *>(user_data);
        self->events++;
        while (!self->go)
            sleep_ms(1);
    }
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a handler that holds the library's thread: not_responding once, then responding") {
    PolicyService echo("start_grace_ms = 0\n");
    Host host(echo.socket());
    Context context(host);
    Heard silent(context, "not_responding"), back(context, "responding");
    Record record;
    REQUIRE(context.submit("block", ms(4000), Record::callback, &record) == BERTH_RET_OK);
    REQUIRE(silent.comes());
    CHECK(text_at(silent[0], "/cause") == "handler");
    CHECK(number_at(silent[0], "/ms") >= 1000);
    REQUIRE(eventually([&] { return record.answered(); }));
    CHECK(record.ret == BERTH_RET_OK);
    CHECK(back.comes());
    CHECK(silent.count() == 1);
    CHECK(back.count() == 1);
    CHECK(context.call("echo", "on") == Answer{0, "on"});
}

TEST_CASE_FIXTURE(LeakChecked, "a blocking caller's worker is watched too") {
    PolicyService echo("start_grace_ms = 0\n");
    Host host(echo.socket());
    Context context(host);
    Heard silent(context, "not_responding");
    CHECK(context.call("block", ms(4000)).ret == BERTH_RET_OK);
    CHECK(silent.count() == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "a stopped worker: not_responding says so, and responding comes when it goes on") {
    PolicyService echo("start_grace_ms = 0\n");
    Host host(echo.socket());
    Context context(host);
    Heard silent(context, "not_responding"), back(context, "responding");
    pid_t worker = host.worker();
    ::kill(worker, SIGSTOP);
    Record record;
    REQUIRE(context.submit("echo", "x", Record::callback, &record) == BERTH_RET_OK);
    REQUIRE(silent.comes());
    CHECK(text_at(silent[0], "/cause") == "stopped");
    ::kill(worker, SIGCONT);
    REQUIRE(back.comes());
    CHECK(eventually([&] { return record.answered(); }));
    CHECK(silent.count() == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "two episodes are told twice") {
    PolicyService echo("start_grace_ms = 0\n");
    Host host(echo.socket());
    Context context(host);
    Heard silent(context, "not_responding"), back(context, "responding");
    for (size_t episode = 1; episode <= 2; episode++) {
        CHECK(context.call("block", ms(3500)).ret == BERTH_RET_OK);
        CHECK(silent.count() == episode);
        // What ends an episode is seen when there is something to look at, or at the next look.
        CHECK(back.comes(episode));
    }
}

TEST_CASE_FIXTURE(LeakChecked, "requests that the module answers later, from a thread of its own, are no silence") {
    PolicyService echo("start_grace_ms = 0\n");
    Host host(echo.socket());
    Context context(host);
    Heard silent(context, "not_responding");
    Record record;
    REQUIRE(context.submit("later", later_request(3500, "x"), Record::callback, &record) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return record.answered(); }));
    CHECK(silent.count() == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "within the start grace nobody is called silent, and the next context has a grace of its own") {
    Host host; // the default: ten seconds
    for (int i = 0; i < 2; i++) {
        Context context(host);
        Heard silent(context, "not_responding");
        CHECK(context.call("block", ms(2500)).ret == BERTH_RET_OK);
        CHECK(silent.count() == 0);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a close is never called silence") {
    PolicyService echo("start_grace_ms = 0\ndrain_timeout_ms = 2500\n");
    Host host(echo.socket());
    Context context(host);
    Heard silent(context, "not_responding");
    Record block, closed;
    REQUIRE(context.submit("block", ms(60000), Record::callback, &block) == BERTH_RET_OK);
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return closed.answered(); }));
    CHECK(block.terminal == 1);
    CHECK(silent.count() == 0);
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "to berth_reap notices come as such, with the listener's id and user data") {
    PolicyService echo("start_grace_ms = 0\n");
    Host host(echo.socket());
    Context context(host);
    uint64_t listener = 0;
    int mine = 0;
    REQUIRE(berth_listen(context.handle(), "not_responding", nullptr, &mine, &listener) == BERTH_RET_OK);
    REQUIRE(context.submit("block", ms(3500), nullptr, nullptr) == BERTH_RET_OK);
    berth_completion completion{};
    REQUIRE(berth_reap(context.handle(), &completion, 1, 30000) == 1);
    CHECK(completion.kind == BERTH_NOTICE);
    CHECK(completion.id == listener);
    CHECK(completion.ret == BERTH_RET_OK);
    CHECK(completion.user_data == &mine);
    CHECK(text_at({reinterpret_cast<const char *>(completion.data), completion.len}, "/cause") == "handler");
    REQUIRE(berth_reap(context.handle(), &completion, 1, 30000) == 1);
    CHECK(completion.kind == BERTH_REPLY);
}

TEST_CASE_FIXTURE(LeakChecked, "a worker's death is told to who listens for it, with what the requests are told") {
    Host host;
    Context context(host);
    Heard died(context, "worker_died");
    Answer answer = context.call("die", cbor(R"({"how": "exit"})"));
    CHECK(answer.ret == BERTH_RET_WORKER_DIED);
    REQUIRE(died.comes());
    CHECK(died[0] == answer.bytes);
    CHECK(context.call("echo", "").ret == BERTH_RET_WORKER_DIED);
    CHECK(context.close() == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "BERTH_RESTART: the context comes back on another worker, empty, and nothing is sent again") {
    Host host;
    berth_open_options options{};
    options.size = sizeof options;
    options.flags = BERTH_RESTART;
    berth_context handle{0};
    std::string memory = cbor("{\"path\": \":memory:\"}");
    REQUIRE(berth_open(host.handle(), "echo", nullptr, 0, &options, &handle, nullptr) == BERTH_RET_OK);
    auto call = [&](const std::string &method, const std::string &data) {
        berth_reply reply;
        berth_call(handle, method_id(method), data.data(), data.size(), 30000, &reply);
        Answer answer{reply.ret, {reinterpret_cast<const char *>(reply.data), reply.len}};
        berth_reply_free(&reply);
        return answer;
    };
    std::mutex lock;
    std::vector<std::string> notices;
    struct Note {
        std::mutex &lock;
        std::vector<std::string> &notices;
        std::string name;
        static void run(int, const uint8_t *data, size_t len, void *user_data) {
            auto *self = static_cast<Note *>(user_data);
            std::lock_guard guard(self->lock);
            self->notices.push_back(self->name + " " + json({reinterpret_cast<const char *>(data), len}));
        }
    } died{lock, notices, "worker_died"}, back{lock, notices, "restarted"}, tick{lock, notices, "tick"};
    uint64_t ignored;
    REQUIRE(berth_listen(handle, "worker_died", Note::run, &died, &ignored) == BERTH_RET_OK);
    REQUIRE(berth_listen(handle, "restarted", Note::run, &back, &ignored) == BERTH_RET_OK);
    REQUIRE(berth_listen(handle, "tick", Note::run, &tick, &ignored) == BERTH_RET_OK);
    auto heard = [&](size_t count) {
        return eventually([&] {
            std::lock_guard guard(lock);
            return notices.size() >= count;
        });
    };
    for (int round = 1; round <= 5; round++) {
        CAPTURE(round);
        CHECK(host.reset("echo").ret == BERTH_RET_OK); // five deaths in a row are a quarantine
        pid_t worker = host.worker();
        Record pending, reaped;
        std::string data = later_request(60000, "never");
        REQUIRE(berth_submit(handle, method_id("later"), data.data(), data.size(), Record::callback, &pending,
                             nullptr) == BERTH_RET_OK);
        REQUIRE(berth_submit(handle, method_id("later"), data.data(), data.size(), nullptr, &reaped, nullptr) ==
                BERTH_RET_OK);
        ::kill(worker, SIGKILL);
        REQUIRE(eventually([&] { return pending.answered(); }));
        CHECK(pending.ret == BERTH_RET_WORKER_DIED);
        REQUIRE(eventually([&] { return call("echo", "back") == Answer{0, "back"}; }));
        CHECK(eventually([&] { return reap_into_records(handle, 100) >= 0 && reaped.answered(); }));
        CHECK(reaped.ret == BERTH_RET_WORKER_DIED);
        CHECK(host.worker() != worker);
        REQUIRE(heard(static_cast<size_t>(round) * 3 - 1));
        CHECK(call("emit", emit(1, 4)).ret == BERTH_RET_OK); // its listeners are there still
        REQUIRE(heard(static_cast<size_t>(round) * 3));
        std::lock_guard guard(lock);
        CHECK(notices[notices.size() - 3].find("worker_died") == 0);
        CHECK(notices[notices.size() - 2] == "restarted {\"restarts\":" + std::to_string(round) + "}");
        CHECK(notices[notices.size() - 1].find("tick") == 0);
        CHECK(pending.terminal == 1);
        CHECK(reaped.terminal == 1);
    }
    Record closed;
    CHECK(berth_close(handle, Record::callback, &closed) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return closed.answered(); }));
    CHECK(text_at(closed.bytes, "/outcome") == "drained");
}

TEST_CASE_FIXTURE(LeakChecked, "a restart whose create fails leaves the context lost, with the reason") {
    TempDir folder;
    std::string path = folder / "db";
    Host host;
    berth_open_options options{};
    options.size = sizeof options;
    options.flags = BERTH_RESTART;
    berth_context handle{0};
    std::string config = cbor("{\"path\": \"" + path + "\"}");
    REQUIRE(berth_open(host.handle(), "sqlite", config.data(), config.size(), &options, &handle, nullptr) ==
            BERTH_RET_OK);
    write_file(path, std::string(4096, 'x')); // no database, when it is opened again
    ::kill(host.worker(), SIGKILL);
    berth_reply reply{};
    std::string sql = cbor(R"({"sql": "SELECT 1"})");
    CHECK(eventually([&] {
        berth_reply_free(&reply);
        berth_call(handle, method_id("query"), sql.data(), sql.size(), 10000, &reply);
        return reply.ret == BERTH_RET_ERR;
    }));
    CHECK(reply.len > 0);
    berth_reply_free(&reply);
    CHECK(berth_close(handle, nullptr, nullptr) == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "a full event queue drops the newest, tells how many, and the context lives on") {
    PolicyService echo("max_events = 100\n");
    Host host(echo.socket());
    Context context(host);
    SlowListener slow;
    uint64_t listener = 0;
    REQUIRE(berth_listen(context.handle(), "tick", SlowListener::run, &slow, &listener) == BERTH_RET_OK);
    Heard overflow(context, "event_overflow");
    Answer answer = context.call("emit", emit(1000, 16));
    int64_t sent = number_at(answer.bytes, "/sent"), dropped = number_at(answer.bytes, "/dropped");
    CHECK(sent + dropped == 1000);
    CHECK(sent >= 100);
    CHECK(sent <= 102); // the listener may have taken one or two
    CHECK(context.call("echo", "not delayed") == Answer{0, "not delayed"});
    slow.go = true;
    CHECK(eventually([&] { return slow.events == sent; }));
    REQUIRE(overflow.comes());
    int64_t told = 0;
    CHECK(eventually([&] {
        told = 0;
        for (size_t i = 0; i < overflow.count(); i++)
            told += number_at(overflow[i], "/count");
        return told == dropped;
    }));
    CHECK(number_at(context.call("emit", emit(50, 16)).bytes, "/sent") == 50);
    CHECK(eventually([&] { return slow.events == sent + 50; }));
    CHECK(berth_unlisten(context.handle(), listener) == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "the event queue is bounded by bytes too, and one large event always fits an empty one") {
    PolicyService echo("max_event_bytes = 65536\n");
    Host host(echo.socket());
    Context context(host);
    SlowListener slow;
    uint64_t listener = 0;
    REQUIRE(berth_listen(context.handle(), "tick", SlowListener::run, &slow, &listener) == BERTH_RET_OK);
    CHECK(number_at(context.call("emit", emit(1, 1 << 20)).bytes, "/sent") == 1);
    CHECK(eventually([&] { return slow.events == 1; }));
    int64_t sent = number_at(context.call("emit", emit(100, 4096)).bytes, "/sent");
    CHECK(sent > 10);
    CHECK(sent < 17);
    slow.go = true;
    CHECK(eventually([&] { return slow.events == 1 + sent; }));
    CHECK(berth_unlisten(context.handle(), listener) == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "overflow = sticky: the context rejects every request from then on, and the next one is as new") {
    PolicyService echo("max_events = 10\noverflow = \"sticky\"\n");
    Host host(echo.socket());
    {
        Context context(host);
        SlowListener slow;
        uint64_t listener = 0;
        REQUIRE(berth_listen(context.handle(), "tick", SlowListener::run, &slow, &listener) == BERTH_RET_OK);
        Heard silent(context, "not_responding");
        CHECK(context.call("emit", emit(100, 16)).ret == BERTH_RET_OK);
        Answer stuck{BERTH_RET_ERR, "event queue stuck - library cannot accept new requests"};
        CHECK(context.call("echo", "x") == stuck);
        slow.go = true;
        REQUIRE(silent.comes());
        CHECK(text_at(silent[0], "/cause") == "events");
        CHECK(context.call("echo", "x") == stuck);
        CHECK(context.call("emit", emit(1, 1)) == stuck);
        CHECK(silent.count() == 1);
        CHECK(berth_unlisten(context.handle(), listener) == BERTH_RET_OK);
    }
    Context next(host);
    CHECK(next.call("echo", "as new") == Answer{0, "as new"});
}

TEST_CASE_FIXTURE(LeakChecked, "a host that never reads its events does not grow the worker") {
    PolicyService echo("max_event_bytes = 1048576\n");
    Host host(echo.socket());
    Context context(host);
    SlowListener slow;
    uint64_t listener = 0;
    REQUIRE(berth_listen(context.handle(), "tick", SlowListener::run, &slow, &listener) == BERTH_RET_OK);
    CHECK(context.call("emit", emit(2000, 4096)).ret == BERTH_RET_OK);
    auto rss = [&] {
        std::string status = host.status().bytes;
        for (int i = 0;; i++) {
            std::string at = "/workers/" + std::to_string(i);
            if (int64_t pid = number_at(status, at + "/pid"); pid < 0 || pid == number_at(status, "/contexts/0/worker_pid"))
                return number_at(status, at + "/rss_bytes");
        }
    };
    int64_t before = rss();
    for (int i = 0; i < 10; i++)
        CHECK(number_at(context.call("emit", emit(2000, 4096)).bytes, "/sent") <= 256);
    CHECK(rss() - before < 4 << 20);
    slow.go = true;
    CHECK(berth_unlisten(context.handle(), listener) == BERTH_RET_OK);
}
