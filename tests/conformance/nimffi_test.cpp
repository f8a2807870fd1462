// Libraries that speak nim-ffi's ABI, as modules: the bytes are theirs, the faults stay with the worker.
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <doctest/doctest.h>
#include <functional>
#include <memory>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "raw_host.h"
#include "segment_map.h"
#include "service.h"

using namespace berth::test;
using namespace std::literals;

namespace {

const std::string kDemo("\xa1\x66"
                        "config\xa1\x64name\x64"
                        "demo");
const std::string kHi("\xa1\x63req\xa2\x67message\x62hi\x67"
                      "delayMs\x00"s);
const std::string kEmpty("\xa0");

// Manifests of the fixtures, with what a test adds to them.
class Fixtures {
  public:
    void add(const std::string &name, const std::string &file, const std::string &more,
             const std::string &settings = "") {
        write_file(folder_ / (name + ".toml"), "library = \"" + needed_variable("BERTH_NIMFFI_DIR") + "/" + file +
                                                   "\"\nadapter = \"nim-ffi\"\n" + more + "\n[nim-ffi]\n" + settings);
    }
    void add_timer(const std::string &more = "", const std::string &settings = "") {
        add("my_timer", "libmy_timer.so.1", more,
            "static = [\"build_info\"]\nevents = [\"on_echo_fired\", \"tick\"]\n" + settings);
    }
    void add_blocking(const std::string &more = "", const std::string &settings = "") {
        add("my_timer", "blocking/libmy_timer.so", more,
            "destroy_arguments = 1\nstatic = [\"build_info\"]\nevents = [\"on_echo_fired\", \"tick\"]\n" + settings);
    }
    void add_node(const std::string &settings = "initialisers = [\"libmy_nodeNimMain\"]\n") {
        add("my_node", "libmy_node.so", "", settings + R"(
[nim-ffi.methods]
version = []
publish = ["string", "string", "uint"]
sum = ["int", "uint", "int64", "uint64", "bool", "double"]
wait = ["uint"]
fail = ["string"]
crash = []
globals = []
)");
    }
    const std::string &path() const { return folder_.path(); }
    std::string operator/(const std::string &name) const { return folder_ / name; }

  private:
    TempDir folder_;
};

struct TimerHost {
    Fixtures fixtures;
    std::unique_ptr<Service> service;
    std::unique_ptr<Host> host;
    explicit TimerHost(const std::function<void(Fixtures &)> &add) {
        add(fixtures);
        service = std::make_unique<Service>(Service::Options{.modules = fixtures.path()});
        host = std::make_unique<Host>(service->socket());
    }
    TimerHost() : TimerHost([](Fixtures &fixtures) { fixtures.add_timer(); }) {}
};

std::string misbehave(const std::string &how) { return cbor("{\"how\": \"" + how + "\"}"); }
std::string text(const std::string &content) { return static_cast<char>(0x60 + content.size()) + content; }

void on_both_destroys(const std::function<void(TimerHost &)> &test) {
    for (bool blocking : {false, true}) {
        CAPTURE(blocking);
        TimerHost timer([&](Fixtures &fixtures) { blocking ? fixtures.add_blocking() : fixtures.add_timer(); });
        test(timer);
    }
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: bytes are those of the library, in requests, answers, events and errors") {
    on_both_destroys([](TimerHost &timer) {
        Context context(*timer.host, "my_timer", kDemo);
        Record event;
        REQUIRE(berth_listen(context.handle(), "on_echo_fired", Record::callback, &event, nullptr) == 0);
        CHECK(context.call("echo", kHi) == Answer{0, "\xa2\x66"
                                                     "echoed\x62hi\x69timerName\x64"
                                                     "demo"});
        CHECK(eventually([&] { return event.answered(); }));
        CHECK(event.bytes == "\xa2\x69"
                             "eventType\x6d"
                             "on_echo_fired\x67payload\xa2\x67message\x62hi\x69"
                             "echoCount\x01");
        Answer version = context.call("version", kEmpty);
        CHECK((version.bytes == text("nim-timer v0.1.0") || version.bytes == text("nim-timer v0.3.0")));
        CHECK(context.call("nothing", kEmpty) == Answer{0, "\xf6"});
        CHECK(context.call("fail", cbor(R"({"text": "not today"})")) == Answer{1, "not today"});
        CHECK(context.call("misbehave", misbehave("empty_error")) == Answer{1, "unknown error"});
        CHECK(context.call("bytes", cbor(R"({"size": 3})")) == Answer{0, "\x43\x00\x01\x02"s});
        CHECK(context.call("bytes", cbor(R"({"size": 1000000})")).bytes.size() == 1000005);
        CHECK(context.close() == 0);
    });
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: the methods are the library's, and a context-free one needs no context") {
    TimerHost timer;
    berth_reply reply;
    CHECK(berth_call_static(timer.host->handle(), "my_timer", "build_info", kEmpty.data(), 1, 60000, &reply) == 0);
    CHECK(std::string(reinterpret_cast<const char *>(reply.data), reply.len) == text("my_timer, a fixture"));
    berth_reply_free(&reply);
    std::string status = json(timer.host->status().bytes);
    for (const char *name : {"echo", "version", "misbehave", "build_info"})
        CHECK_MESSAGE(status.find("\""s + name + "\"") != std::string::npos, status);
    for (const char *name : {"\"create\"", "\"destroy\"", "\"add_event_listener\""})
        CHECK(status.find(name) == std::string::npos);
    Context context(*timer.host, "my_timer", kDemo);
    CHECK(context.call("build_info", kEmpty) == Answer{0, text("my_timer, a fixture")});
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: requests of a context run concurrently in the library") {
    TimerHost timer([](Fixtures &fixtures) { fixtures.add_timer("drain_timeout_ms = 100\n"); });
    Context context(*timer.host, "my_timer", kDemo);
    std::vector<std::unique_ptr<Record>> asleep, awake;
    auto submit = [&](auto &records, const char *request) {
        REQUIRE(context.submit("echo", cbor(request), Record::callback, records.emplace_back(new Record).get()) == 0);
    };
    for (int i = 0; i < 50; i++)
        submit(asleep, R"({"req": {"delayMs": 3600000}})");
    for (int i = 0; i < 50; i++)
        submit(awake, R"({"req": {"delayMs": 200}})");
    for (auto &record : awake)
        CHECK(eventually([&] { return record->answered(); }));
    for (auto &record : asleep)
        CHECK(!record->answered());
    CHECK(context.close() == 0);
    for (auto &record : asleep)
        CHECK(eventually([&] { return record->answered(); }));
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: a second callback is dropped and logged, the first stands") {
    TimerHost timer;
    Context context(*timer.host, "my_timer", kDemo);
    for (int i = 0; i < 20; i++)
        CHECK(context.call("misbehave", misbehave("double")) == Answer{0, text("double")});
    CHECK(timer.service->logs("the library called back a second time for one request; dropped"));
    CHECK(context.call("version", kEmpty).ret == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: a callback that never comes is the deadline's, the host's or the manifest's") {
    {
        TimerHost timer;
        Context context(*timer.host, "my_timer", kDemo);
        CHECK(context.call("misbehave", misbehave("mute"), 100).ret == BERTH_RET_TIMEOUT);
        CHECK(context.call("version", kEmpty).ret == 0);
    }
    TimerHost timer([](Fixtures &fixtures) { fixtures.add_timer("", "deadline_ms = 2000\n"); });
    Context context(*timer.host, "my_timer", kDemo);
    CHECK(context.call("misbehave", misbehave("mute")) == Answer{1, "no answer before the deadline"});
    CHECK(timer.service->logs("the library did not call back within 2000 ms"));
    // One that comes too late finds nobody.
    CHECK(context.call("echo", cbor(R"({"req": {"delayMs": 2500}})")).ret == 1);
    CHECK(context.call("block", cbor(R"({"ms": 700})")).ret == 0);
    CHECK(context.call("version", kEmpty).ret == 0);
    CHECK(open_answer(*timer.host, "my_timer", cbor(R"({"config": {"mute": true}})")) ==
          Answer{1, "my_timer_create did not call back within 2000 ms"});

    // Without any deadline of the manifest's the open's own bound holds, and its worker is not kept.
    TimerHost patient([](Fixtures &fixtures) {
        fixtures.add_timer("drain_timeout_ms = 100\nteardown_timeout_ms = 200\nrecycle = \"context\"\n");
    });
    auto mute = cbor(R"({"config": {"mute": true}})");
    CHECK(open_answer(*patient.host, "my_timer", mute, nullptr, {.timeout_ms = 500}).ret == BERTH_RET_TIMEOUT);
    CHECK(Context(*patient.host, "my_timer", kDemo).call("version", kEmpty).ret == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: RET_STALE_WARN is progress, and never comes after the answer") {
    TimerHost timer;
    Context context(*timer.host, "my_timer", kDemo, {.stale_warn_ms = 600000});
    for (const char *how : {"stale", "late_stale"}) {
        Record record;
        REQUIRE(context.submit("misbehave", misbehave(how), Record::callback, &record) == 0);
        CHECK(eventually([&] { return record.answered(); }));
        CHECK(context.call("version", kEmpty).ret == 0); // what the library says late has been said by then
        CHECK(record.bytes == text(how));
        CHECK(record.pings == (how == "stale"s ? 1 : 0));
        CHECK(record.pings_after == 0);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: RET_STALE_WARN with anything but a time is data, and progress to an old host") {
    TimerHost timer;
    RawHost host(timer.service->socket());
    host.open("my_timer", kDemo);
    uint64_t id = host.request("misbehave", misbehave("parts"));
    std::vector<std::string> came;
    for (uint16_t kind = 0; kind != BERTH_FRAME_REPLY && came.size() < 10;) {
        auto frame = host.next();
        REQUIRE(frame);
        CHECK(frame->header.id == id);
        kind = frame->header.kind;
        came.push_back(std::to_string(kind) + " " + frame->payload);
    }
    CHECK(came == std::vector<std::string>{"9 part", "8 7000", "9 12345678901", "9 ", "9 7 ", "3 " + text("parts")});

    RawSegment old;
    ControlPeer peer(timer.service->socket());
    REQUIRE(peer.greet());
    old.header().minor = BERTH_SEGMENT_MINOR_1;
    REQUIRE(peer.open(1, "my_timer", old.fds()));
    auto frame = [](uint16_t kind, uint32_t slot, uint32_t code, const std::string &payload) {
        return berth_frame_header{static_cast<uint32_t>(payload.size()), kind, 0, uint64_t{1} << 32 | slot, code, 0, 0};
    };
    std::string parts = misbehave("parts");
    old.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_CREATE, 0, 0, kDemo), kDemo);
    old.publish(BERTH_RING_REQUEST, frame(BERTH_FRAME_REQUEST, 1, method_id("misbehave"), parts), parts);
    auto *tail = &old.header().control[BERTH_RING_REPLY].tail;
    CHECK(eventually([&] { return __atomic_load_n(tail, __ATOMIC_ACQUIRE) >= 64 * 7; }));
    for (int i = 1; i <= 5; i++) {
        berth_frame_header said;
        std::memcpy(&said, old.bytes(BERTH_RING_REPLY) + 64 * i, sizeof said);
        CHECK(said.kind == BERTH_FRAME_PROGRESS);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: the runtime starts once, on the thread that calls the library") {
    on_both_destroys([](TimerHost &timer) {
        Context context(*timer.host, "my_timer", kDemo);
        std::string environment = context.call("environment", kEmpty).bytes;
        CHECK(number_at(environment, "/runtimeStarts") == 1);
        CHECK(json(environment).find("\"sameThread\":true") != std::string::npos);
        CHECK(number_at(environment, "/contexts") == 1);
    });
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: a library whose globals forbid a second instance has one, beside and after") {
    on_both_destroys([](TimerHost &timer) {
        auto config = cbor(R"({"config": {"exclusive": true}})");
        {
            Context first(*timer.host, "my_timer", config), second(*timer.host, "my_timer", config);
            CHECK(first.call("version", kEmpty).ret == 0);
            CHECK(second.call("version", kEmpty).ret == 0);
        }
        CHECK(Context(*timer.host, "my_timer", config).call("version", kEmpty).ret == 0);
    });
    // On request the process is kept, and so are the globals.
    TimerHost timer([](Fixtures &fixtures) { fixtures.add_timer("recycle = \"context\"\n"); });
    auto config = cbor(R"({"config": {"exclusive": true}})");
    CHECK(eventually([&] { // sooner or later in a process that has had one
        berth_context context{0};
        Answer answer = open_answer(*timer.host, "my_timer", config, &context);
        if (answer.ret == 0)
            berth_close(context, nullptr, nullptr);
        return answer == Answer{1, "a second exclusive timer cannot be in this process"};
    }));
    CHECK(Context(*timer.host, "my_timer", kDemo).call("version", kEmpty).ret == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: constructors that fail use up no pool, in a process that is kept") {
    for (bool blocking : {false, true}) {
        TimerHost timer([&](Fixtures &fixtures) {
            blocking ? fixtures.add_blocking("recycle = \"context\"\n") : fixtures.add_timer("recycle = \"context\"\n");
        });
        for (int i = 0; i < 40; i++)
            CHECK(open_answer(*timer.host, "my_timer", cbor(R"({"config": {"fail": "said no"}})")) ==
                  Answer{1, "said no"});
        CHECK(open_answer(*timer.host, "my_timer", "no CBOR").ret == 1);
        CHECK(Context(*timer.host, "my_timer", kDemo).call("version", kEmpty).ret == 0);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: what the library prints lands in the supervisor's log") {
    TimerHost timer;
    Context context(*timer.host, "my_timer", kDemo);
    CHECK(context.call("misbehave", misbehave("print")).ret == 0);
    CHECK(timer.service->logs("] my_timer on stdout"));
    CHECK(timer.service->logs("] my_timer on stderr"));
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: more contexts at once than the library's pool has") {
    TimerHost timer;
    std::vector<std::unique_ptr<Context>> contexts;
    for (int i = 0; i < 40; i++)
        contexts.push_back(std::make_unique<Context>(*timer.host, "my_timer", kDemo));
    for (auto &context : contexts)
        CHECK(context->call("echo", kHi).ret == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: a library that dies is WORKER_DIED, once for each request, and the next opens") {
    TimerHost timer;
    for (const char *how : {"crash", "exit"}) {
        Context context(*timer.host, "my_timer", kDemo);
        Record waiting, killer;
        REQUIRE(context.submit("echo", cbor(R"({"req": {"delayMs": 60000}})"), Record::callback, &waiting) == 0);
        REQUIRE(context.submit("misbehave", misbehave(how), Record::callback, &killer) == 0);
        CHECK(eventually([&] { return waiting.answered() && killer.answered(); }));
        CHECK(waiting.ret == BERTH_RET_WORKER_DIED);
        CHECK(killer.ret == BERTH_RET_WORKER_DIED);
        CHECK(waiting.terminal == 1);
        if (how == "crash"s)
            CHECK(number_at(killer.bytes, "/signal") == SIGSEGV);
        else
            CHECK(number_at(killer.bytes, "/status") == 3);
    }
    CHECK(Context(*timer.host, "my_timer", kDemo).call("version", kEmpty).ret == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: a close with a handler in flight is bounded, for both kinds of destroy") {
    for (bool blocking : {false, true}) {
        CAPTURE(blocking);
        TimerHost timer([&](Fixtures &fixtures) {
            const char *bound = "drain_timeout_ms = 200\n";
            blocking ? fixtures.add_blocking(bound) : fixtures.add_timer(bound);
        });
        Context context(*timer.host, "my_timer", kDemo);
        Record flying, closed;
        REQUIRE(context.submit("echo", cbor(R"({"req": {"delayMs": 600000}})"), Record::callback, &flying) == 0);
        REQUIRE(berth_close(context.handle(), Record::callback, &closed) == 0);
        CHECK(eventually([&] { return flying.answered() && closed.answered(); }));
        CHECK(flying.terminal == 1);
        CHECK(flying.ret != BERTH_RET_OK);
        CHECK(flying.bytes != "");
        CHECK(json(closed.bytes).find("killed") == std::string::npos);
        context.forget();
    }
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: a blocking destroy that the manifest takes for asynchronous only takes longer") {
    TimerHost timer([](Fixtures &fixtures) { fixtures.add("my_timer", "blocking/libmy_timer.so", ""); });
    CHECK(Context(*timer.host, "my_timer", kDemo).call("version", kEmpty).ret == 0);
    CHECK(timer.service->logs("is it one with destroy_arguments = 1?"));
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: a cancelled request gives its place back, though the library never answers") {
    TimerHost timer;
    Context context(*timer.host, "my_timer", kDemo, {.max_in_flight = 4});
    for (int i = 0; i < 40; i++) {
        Record record;
        uint64_t id;
        int ret;
        CHECK(eventually([&] {
            ret = context.submit("misbehave", misbehave("mute"), Record::callback, &record, &id);
            return ret != BERTH_RET_BUSY;
        }));
        REQUIRE(ret == 0);
        CHECK(berth_cancel(context.handle(), id) == 0);
        CHECK(eventually([&] { return record.answered(); }));
        CHECK(record.ret == BERTH_RET_CANCELLED);
        CHECK(record.terminal == 1);
    }
    CHECK(eventually([&] { return context.call("version", kEmpty).ret == 0; }));
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: events of every name in the manifest reach their listeners, in order") {
    TimerHost timer;
    Context context(*timer.host, "my_timer", kDemo);
    struct Ticks {
        std::atomic<int> count{0}, wrong{0};
        static void note(int, const uint8_t *data, size_t len, void *self) {
            auto &ticks = *static_cast<Ticks *>(self);
            int n = ticks.count++;
            ticks.wrong += number_at({reinterpret_cast<const char *>(data), len}, "/payload/n") != n;
        }
    } ticks;
    Record other;
    REQUIRE(berth_listen(context.handle(), "tick", Ticks::note, &ticks, nullptr) == 0);
    REQUIRE(berth_listen(context.handle(), "on_echo_fired", Record::callback, &other, nullptr) == 0);
    CHECK(context.call("emit", cbor(R"({"name": "tick", "count": 500})")).ret == 0);
    CHECK(context.call("emit", cbor(R"({"name": "unknown", "count": 5})")).ret == 0);
    CHECK(eventually([&] { return ticks.count == 500; }));
    CHECK(ticks.wrong == 0);
    CHECK(other.terminal == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: settings larger than any argument may be reach the worker") {
    std::string names;
    for (int i = 0; i < 3000; i++)
        names += "\"" + std::to_string(i) + std::string(100, 'x') + "\",\n";
    TimerHost timer([&](Fixtures &fixtures) {
        fixtures.add("my_timer", "libmy_timer.so.1", "", "events = [" + names + "\"tick\"]\n");
    });
    Context context(*timer.host, "my_timer", kDemo);
    Record tick;
    REQUIRE(berth_listen(context.handle(), "tick", Record::callback, &tick, nullptr) == 0);
    CHECK(context.call("emit", cbor(R"({"name": "tick", "count": 1})")).ret == 0);
    CHECK(eventually([&] { return tick.answered(); }));
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: the JSON generation is called by its signatures, and answers raw bytes") {
    TimerHost node([](Fixtures &fixtures) { fixtures.add_node(); });
    Context context(*node.host, "my_node", R"({"name": "n"})");
    Record event;
    uint64_t listener = 0;
    REQUIRE(berth_listen(context.handle(), "event", Record::callback, &event, &listener) == 0);
    CHECK(context.call("start", "") == Answer{0, ""});
    CHECK(context.call("start", kEmpty) == Answer{1, "the node is started already"});
    CHECK(context.call("version", "\x80") == Answer{0, "my_node v0.2.0"});
    CHECK(context.call("publish", cbor(R"(["a\"b", "{\"x\":1}", 4294967295])")) ==
          Answer{0, R"({"topic":"a\u0022b","message":{"x":1},"timeoutMs":4294967295})"});
    CHECK(eventually([&] { return event.answered(); }));
    CHECK(berth_unlisten(context.handle(), listener) == 0); // the next publish is not for this record
    CHECK(event.bytes == R"({"eventType":"message","topic":"a\u0022b"})");
    CHECK(context.call("sum", cbor(R"([-1, 2, -9223372036854775808, 18446744073709551615, true, 0.5])")) ==
          Answer{0, "-1 2 -9223372036854775808 18446744073709551615 1 0.5"});
    CHECK(context.call("publish", cbor(R"([null, null, 1])")) ==
          Answer{0, R"({"topic":"","message":null,"timeoutMs":1})"});
    CHECK(context.call("publish", cbor(R"(["a", "b", -1])")) ==
          Answer{1, "my_node_publish: parameter 3 is below what its type holds"});
    CHECK(context.call("publish", cbor(R"(["a", "b"])")) ==
          Answer{1, "my_node_publish: the method has 3 parameters, the request 2"});
    CHECK(context.call("fail", cbor(R"(["no"])")) == Answer{1, "no"});
    CHECK(context.call("stop", "") == Answer{0, ""});
    // A module global: each context has a process of its own.
    Context second(*node.host, "my_node", "{}");
    CHECK(second.call("globals", "") == Answer{0, "1"});
    CHECK(open_answer(*node.host, "my_node", "fail") == Answer{1, "the configuration says fail"});
    CHECK(open_answer(*node.host, "my_node", "a\0b"s).ret == 1);
    CHECK(second.call("crash", "").ret == BERTH_RET_WORKER_DIED);
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: what cannot be is said when the module is opened") {
    TimerHost timer([](Fixtures &fixtures) {
        fixtures.add_timer();
        fixtures.add_node("");
        fixtures.add("typo", "libmy_timer.so.1", "", "static = [\"no_such\"]\n");
        fixtures.add("other", "libmy_timer.so.1", "", "prefix = \"other\"\n");
        fixtures.add("missing", "no-such.so", "");
        write_file(fixtures / "text.toml", "library = \"text.so\"\nadapter = \"nim-ffi\"\n");
        write_file(fixtures / "text.so", "no library");
        write_file(fixtures / "echo.toml",
                   "library = \"" + needed_variable("BERTH_ECHO_SO") + "\"\nadapter = \"nim-ffi\"\n");
    });
    auto refused = [&](const std::string &module, const std::string &reason) {
        Answer answer = open_answer(*timer.host, module, "{}");
        CHECK(answer.ret == BERTH_RET_ERR);
        CHECK_MESSAGE(answer.bytes.find(reason) != std::string::npos, answer.bytes);
    };
    refused("typo", "it has no function my_timer_no_such");
    refused("other", "it has no other_create or other_new beside a other_destroy");
    refused("missing", "No such file");
    refused("text", "text.so: is no ELF file");
    refused("echo", "no nim-ffi library");
    refused("my_node", "libmy_nodeNimMain was not called");
    CHECK(Context(*timer.host, "my_timer", kDemo).call("version", kEmpty).ret == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "nim-ffi: a first manifest by berth module init serves, and an edited one is not overwritten") {
    TempDir folder;
    auto init = [&](const std::string &file, const std::string &name) {
        std::string command = needed_variable("BERTH_CLI") + " module init '" + needed_variable("BERTH_NIMFFI_DIR") + "/" +
                              file + "' -o '" + folder / name + "' 2>'" + folder / "err" + "'";
        return std::system(command.c_str());
    };
    REQUIRE(init("libmy_timer.so.1", "my_timer.toml") == 0);
    REQUIRE(init("libmy_node.so", "my_node.toml") == 0);
    CHECK(init("libmy_node.so", "my_timer.toml") != 0);
    CHECK(read_file(folder / "err").find("my_timer.toml: File exists") != std::string::npos);

    Service service({.modules = folder.path()});
    Host host(service.socket());
    Context timer(host, "my_timer", kDemo), node(host, "my_node", "{}");
    Record event;
    REQUIRE(berth_listen(timer.handle(), "on_echo_fired", Record::callback, &event, nullptr) == 0);
    CHECK(timer.call("echo", kHi).ret == 0);
    CHECK(eventually([&] { return event.answered(); }));
    CHECK(number_at(timer.call("environment", kEmpty).bytes, "/runtimeStarts") == 1);
    CHECK(node.call("start", "") == Answer{0, ""});
    CHECK(node.call("stop", "") == Answer{0, ""});
}
