// The fixture libraries speak the ABI to the byte: what other tests take for granted is shown here.
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "nimffi/nimffi.h"

namespace {

using namespace std::literals;

struct Answer {
    int ret;
    std::string bytes;
    std::thread::id thread;
};

// What callbacks said, in order.
class Heard {
  public:
    static void callback(int ret, const char *msg, size_t len, void *self) {
        auto &heard = *static_cast<Heard *>(self);
        std::lock_guard lock(heard.lock_);
        heard.answers_.push_back({ret, std::string(msg, len), std::this_thread::get_id()});
        heard.more_.notify_all();
    }
    std::vector<Answer> wait(size_t count) {
        std::unique_lock lock(lock_);
        REQUIRE(more_.wait_for(lock, 60s, [&] { return answers_.size() >= count; }));
        return answers_;
    }
    Answer one() { return wait(1)[0]; }

  private:
    std::mutex lock_;
    std::condition_variable more_;
    std::vector<Answer> answers_;
};

using Create = void *(*)(const uint8_t *, size_t, FFICallback, void *);
using Method = int (*)(void *, FFICallback, void *, const uint8_t *, size_t);
using Static = int (*)(FFICallback, void *, const uint8_t *, size_t);
using Plain = int (*)(void *, FFICallback, void *);

struct Library {
    explicit Library(const char *file) {
        std::string path = std::getenv("BERTH_NIMFFI_DIR") + "/"s + file;
        handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        REQUIRE_MESSAGE(handle, dlerror());
    }
    template <class Function> Function get(const char *name) const {
        void *found = dlsym(handle, name);
        REQUIRE_MESSAGE(found, name);
        return reinterpret_cast<Function>(found);
    }
    Answer call(void *ctx, const char *method, std::string_view request) const {
        Heard heard;
        get<Method>(method)(ctx, Heard::callback, &heard, reinterpret_cast<const uint8_t *>(request.data()),
                            request.size());
        return heard.one();
    }
    void *create(std::string_view request, Answer *answer = nullptr) const {
        Heard heard;
        auto *ctx = get<Create>("my_timer_create")(reinterpret_cast<const uint8_t *>(request.data()), request.size(),
                                                   Heard::callback, &heard);
        auto got = heard.one();
        if (answer)
            *answer = got;
        return ctx;
    }
    void *handle;
};

// my_timer's runtime takes signals over; this process wants its own back.
struct KeptSignals {
    KeptSignals() {
        for (int i = 0; i < 3; i++)
            sigaction(kSignals[i], nullptr, &kept[i]);
    }
    ~KeptSignals() {
        for (int i = 0; i < 3; i++)
            sigaction(kSignals[i], &kept[i], nullptr);
    }
    static constexpr int kSignals[] = {SIGINT, SIGPIPE, SIGSEGV};
    struct sigaction kept[3];
};

constexpr auto kDemo = "\xa1\x66"
                       "config\xa1\x64name\x64"
                       "demo"sv;
constexpr auto kHi = "\xa1\x63req\xa2\x67message\x62hi\x67"
                     "delayMs\x00"sv;
constexpr auto kHiLater = "\xa1\x63req\xa2\x67message\x62hi\x67"
                          "delayMs\x18\xc8"sv;
constexpr auto kEmpty = "\xa0"sv;

std::string text(std::string_view content) { return char(0x60 + content.size()) + std::string(content); }

} // namespace

TEST_CASE("the CBOR fixture answers with the documented bytes") {
    KeptSignals kept;
    for (const char *file : {"libmy_timer.so.1", "blocking/libmy_timer.so"}) {
        CAPTURE(file);
        bool blocking = file[0] == 'b';
        Library library(file);
        Answer created, event;
        void *ctx = library.create(kDemo, &created);
        REQUIRE(ctx);
        CHECK(created.ret == RET_OK);
        CHECK(created.bytes == text(std::to_string(reinterpret_cast<uintptr_t>(ctx))));
        CHECK(created.thread != std::this_thread::get_id());

        Heard events;
        auto add = library.get<uint64_t (*)(void *, const char *, FFICallback, void *)>("my_timer_add_event_listener");
        auto remove = library.get<int (*)(void *, uint64_t)>("my_timer_remove_event_listener");
        uint64_t listener = add(ctx, "on_echo_fired", Heard::callback, &events);
        CHECK(listener != 0);
        CHECK(add(ctx, nullptr, Heard::callback, &events) == 0);
        auto echo = library.call(ctx, "my_timer_echo", kHi);
        CHECK(echo.ret == RET_OK);
        CHECK(echo.bytes == "\xa2\x66"
                            "echoed\x62hi\x69timerName\x64"
                            "demo");
        CHECK(events.one().bytes == "\xa2\x69"
                                    "eventType\x6d"
                                    "on_echo_fired\x67payload\xa2\x67message\x62hi\x69"
                                    "echoCount\x01");
        CHECK(remove(ctx, listener) == 0);
        CHECK(remove(ctx, listener) == 1);
        CHECK(library.call(ctx, "my_timer_version", kEmpty).bytes ==
              text(blocking ? "nim-timer v0.3.0" : "nim-timer v0.1.0"));
        CHECK(library.call(ctx, "my_timer_nothing", kEmpty).bytes == "\xf6");
        auto failed = library.call(ctx, "my_timer_fail", "\xa1\x64text\x62no");
        CHECK(failed.ret == RET_ERR);
        CHECK(failed.bytes == "no");
        CHECK(library.call(ctx, "my_timer_echo", "\xa1\x61x\x00"sv).ret == RET_ERR);
        Heard statically;
        CHECK(library.get<Static>("my_timer_build_info")(Heard::callback, &statically,
                                                         reinterpret_cast<const uint8_t *>("\xa0"), 1) == 0);
        CHECK(statically.one().bytes == text("my_timer, a fixture"));

        if (blocking) {
            CHECK(library.get<int (*)(void *)>("my_timer_destroy")(ctx) == 0);
            CHECK(library.get<int (*)(void *)>("my_timer_destroy")(ctx) == 1);
        } else {
            Heard gone;
            CHECK(library.get<Plain>("my_timer_destroy")(ctx, nullptr, nullptr) == RET_MISSING_CALLBACK);
            CHECK(library.get<Plain>("my_timer_destroy")(ctx, Heard::callback, &gone) == 0);
            CHECK(gone.one().ret == RET_OK);
        }
        auto invalid = library.call(ctx, "my_timer_version", kEmpty);
        CHECK(invalid.ret == RET_ERR);
        CHECK(invalid.bytes == "ctx is not a valid FFI context");
    }
}

TEST_CASE("requests that sleep in the CBOR fixture run concurrently, and a destroy cuts them off") {
    KeptSignals kept;
    Library library("blocking/libmy_timer.so");
    void *ctx = library.create(kDemo);
    auto echo = library.get<Method>("my_timer_echo");
    auto *request = reinterpret_cast<const uint8_t *>(kHiLater.data());
    Heard heard, cut;
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 50; i++)
        CHECK(echo(ctx, Heard::callback, &heard, request, kHiLater.size()) == 0);
    CHECK(heard.wait(50).size() == 50);
    // One behind the other would be 10 s.
    CHECK(std::chrono::steady_clock::now() - start < 8s);

    constexpr auto never = "\xa1\x63req\xa1\x67"
                           "delayMs\x1a\x00\x10\x00\x00"sv;
    CHECK(echo(ctx, Heard::callback, &cut, reinterpret_cast<const uint8_t *>(never.data()), never.size()) == 0);
    CHECK(library.get<int (*)(void *)>("my_timer_destroy")(ctx) == 0);
    CHECK(cut.one().ret == RET_ERR);
}

TEST_CASE("the CBOR fixture refuses calls inside a result callback, and a thirty-third context") {
    struct Inner {
        void *ctx;
        Method version;
        int returned = -1;
        Heard outer, inner;
    };
    KeptSignals kept;
    Library library("libmy_timer.so.1");
    std::vector<void *> contexts;
    for (int i = 0; i < 32; i++)
        contexts.push_back(library.create(kDemo));
    Answer refused;
    CHECK(library.create(kDemo, &refused) == nullptr);
    CHECK(refused.bytes == "FFI context pool exhausted (max 32 contexts)");

    Inner inner{contexts[0], library.get<Method>("my_timer_version")};
    auto callback = [](int ret, const char *msg, size_t len, void *ud) {
        auto &self = *static_cast<Inner *>(ud);
        self.returned = self.version(self.ctx, Heard::callback, &self.inner, nullptr, 0);
        Heard::callback(ret, msg, len, &self.outer);
    };
    CHECK(inner.version(inner.ctx, callback, &inner, reinterpret_cast<const uint8_t *>("\xa0"), 1) == 0);
    CHECK(inner.outer.one().ret == RET_OK);
    CHECK(inner.returned == 1);
    CHECK(inner.inner.one().bytes == "error in sendRequestToFFIThread: reentrant ffi call: a handler invoked "
                                     "sendRequestToFFIThread on its own context");
    Heard gone;
    for (void *ctx : contexts)
        CHECK(library.get<Plain>("my_timer_destroy")(ctx, Heard::callback, &gone) == 0);
    gone.wait(32);
}

TEST_CASE("the JSON fixture takes C strings and integers, and tells events to one callback") {
    Library library("libmy_node.so");
    auto create = library.get<void *(*)(const char *, FFICallback, void *)>("my_node_new");
    Heard too_soon, created, events, heard, gone;
    CHECK(create("{}", Heard::callback, &too_soon) == nullptr);
    CHECK(too_soon.one().ret == RET_ERR);
    library.get<void (*)()>("libmy_nodeNimMain")();
    void *ctx = create("{\"name\":\"n\"}", Heard::callback, &created);
    REQUIRE(ctx);
    CHECK(created.one().ret == RET_OK);
    library.get<void (*)(void *, FFICallback, void *)>("set_event_callback")(ctx, Heard::callback, &events);
    auto publish = library.get<int (*)(void *, FFICallback, void *, const char *, const char *, unsigned)>("my_node_publish");
    auto sum = library.get<int (*)(void *, FFICallback, void *, int, unsigned, int64_t, uint64_t, bool, double)>("my_node_sum");
    CHECK(publish(ctx, Heard::callback, &heard, "a\"b", "{\"x\":1}", 7) == 0);
    CHECK(heard.wait(1)[0].bytes == R"({"topic":"a\u0022b","message":{"x":1},"timeoutMs":7})");
    CHECK(events.one().bytes == R"({"eventType":"message","topic":"a\u0022b"})");
    CHECK(sum(ctx, Heard::callback, &heard, -1, 2, -3'000'000'000, 4'000'000'000, true, 0.5) == 0);
    CHECK(heard.wait(2)[1].bytes == "-1 2 -3000000000 4000000000 1 0.5");
    CHECK(library.get<Plain>("my_node_stop")(ctx, Heard::callback, &heard) == 0);
    CHECK(heard.wait(3)[2].bytes == "the node is not started");
    CHECK(library.get<Plain>("my_node_destroy")(ctx, Heard::callback, &gone) == 0);
    CHECK(gone.one().ret == RET_OK);
}
