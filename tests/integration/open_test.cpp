// The beginning and the end of a context, where they are not waited for.
#include <atomic>
#include <csignal>
#include <doctest/doctest.h>
#include <memory>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

berth_context open_submit(const Host &host, const std::string &config, Record &done) {
    berth_context context{0};
    REQUIRE(berth_open_submit(host.handle(), "echo", config.data(), config.size(), nullptr, Record::callback, &done,
                              &context) == BERTH_RET_OK);
    return context;
}

int submit_echo(berth_context context, const std::string &text, berth_callback callback, Record &record) {
    return berth_submit(context, method_id("echo"), text.data(), text.size(), callback, &record, nullptr);
}

struct Closer {
    berth_context context{0};
    std::atomic<int> close_ret{-1};
    Record closed;
    static void callback(int, const uint8_t *, size_t, void *user_data) {
        auto *self = static_cast<Closer *>(user_data);
        self->close_ret = berth_close(self->context, Record::callback, &self->closed);
    }
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "requests queue behind an open that is under way, and are answered after it") {
    Host host;
    Record done, first, second;
    berth_context context = open_submit(host, "", done);
    CHECK(submit_echo(context, "first", Record::callback, first) == BERTH_RET_OK);
    CHECK(submit_echo(context, "second", Record::callback, second) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return second.answered(); }));
    CHECK(done.terminal == 1);
    CHECK(done.ret == BERTH_RET_OK);
    CHECK(first.bytes == "first");
    CHECK(second.bytes == "second");
    CHECK(berth_close(context, nullptr, nullptr) == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "an open whose create fails says why once, and ends what queued behind it and the handle") {
    Host host;
    Record done, queued;
    berth_context context = open_submit(host, cbor("{\"fail\": \"not today\"}"), done);
    int accepted = submit_echo(context, "queued", Record::callback, queued);
    REQUIRE(eventually([&] { return done.answered(); }));
    CHECK(done.ret == BERTH_RET_ERR);
    CHECK(done.bytes.find("not today") != std::string::npos);
    if (accepted == BERTH_RET_OK) {
        REQUIRE(eventually([&] { return queued.answered(); }));
        CHECK(queued.ret == BERTH_RET_ERR);
    }
    CHECK(eventually([&] { return berth_close(context, nullptr, nullptr) == BERTH_RET_INVALID_CTX; }));
    CHECK(done.terminal == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "an open of a module that is not there tells its callback") {
    Host host;
    Record done;
    berth_context context{0};
    REQUIRE(berth_open_submit(host.handle(), "no-such", nullptr, 0, nullptr, Record::callback, &done, &context) ==
            BERTH_RET_OK);
    REQUIRE(eventually([&] { return done.answered(); }));
    CHECK(done.ret == BERTH_RET_NO_MODULE);
}

TEST_CASE_FIXTURE(LeakChecked, "a close right behind an open answers both, and what is between") {
    Host host;
    for (int i = 0; i < 20; i++) {
        Record done, between, closed;
        berth_context context = open_submit(host, "", done);
        int accepted = submit_echo(context, "between", Record::callback, between);
        REQUIRE(berth_close(context, Record::callback, &closed) == BERTH_RET_OK);
        REQUIRE(eventually([&] { return closed.answered(); }));
        CHECK(closed.ret == BERTH_RET_OK);
        CHECK(done.terminal == 1);
        CHECK(between.terminal == (accepted == BERTH_RET_OK ? 1 : 0));
        CHECK(berth_close(context, nullptr, nullptr) == BERTH_RET_INVALID_CTX);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "answers left for berth_reap at a close can still be had, then CLOSED, then the handle is over") {
    Host host;
    Context context(host);
    std::vector<std::unique_ptr<Record>> records;
    for (int i = 0; i < 10; i++) {
        records.push_back(std::make_unique<Record>());
        REQUIRE(context.submit("echo", std::to_string(i), nullptr, records.back().get()) == BERTH_RET_OK);
    }
    CHECK(berth_close(context.handle(), nullptr, nullptr) == BERTH_RET_OK);
    CHECK(context.submit("echo", "late", nullptr, nullptr) == BERTH_RET_CLOSED);
    int got;
    while ((got = reap_into_records(context.handle(), 0)) > 0) {
    }
    CHECK(got == -BERTH_RET_CLOSED);
    CHECK(reap_into_records(context.handle(), 0) == -BERTH_RET_INVALID_CTX);
    for (const auto &record : records)
        CHECK(record->terminal == 1);
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "a callback may close its own context") {
    Host host;
    Closer closer;
    Context context(host);
    closer.context = context.handle();
    REQUIRE(context.submit("echo", "x", Closer::callback, &closer) == BERTH_RET_OK);
    REQUIRE(eventually([&] { return closer.closed.answered(); }));
    CHECK(closer.close_ret == BERTH_RET_OK);
    CHECK(closer.closed.ret == BERTH_RET_OK);
    context.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "a context-free call needs no context, and one that needs a context says so") {
    Host host;
    berth_reply reply{};
    CHECK(berth_call_static(host.handle(), "echo", "version", nullptr, 0, 30000, &reply) == BERTH_RET_OK);
    berth_reply_free(&reply);
    CHECK(berth_call_static(host.handle(), "echo", "echo", "x", 1, 30000, &reply) == BERTH_RET_ERR);
    CHECK(std::string(reinterpret_cast<const char *>(reply.data), reply.len) == "echo needs a context, and none was created");
    berth_reply_free(&reply);
    CHECK(berth_call_static(host.handle(), "no-such", "version", nullptr, 0, 30000, &reply) == BERTH_RET_NO_MODULE);
    berth_reply_free(&reply);
    CHECK(berth_call_static(host.handle(), "echo", nullptr, nullptr, 0, 30000, &reply) ==
          BERTH_RET_INVALID_ARGUMENT);
    berth_reply_free(&reply);
}

TEST_CASE_FIXTURE(LeakChecked, "a context that ends as it opens costs its host nothing, and is told why") {
    Host host;
    auto call = [&](const char *module) {
        berth_reply reply;
        berth_call_static(host.handle(), module, "version", nullptr, 0, 60000, &reply);
        Answer answer{reply.ret, {reinterpret_cast<const char *>(reply.data), reply.len}};
        berth_reply_free(&reply);
        return answer;
    };
    const Answer version = call("echo"), refused = call("no-such");
    REQUIRE(version.ret == BERTH_RET_OK);
    REQUIRE(refused.ret == BERTH_RET_NO_MODULE);
    for (int i = 0; i < 1000; i++) {
        CAPTURE(i);
        REQUIRE(call("echo") == version);
        REQUIRE(call("no-such") == refused);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "a close that meets the failure of its open is told of it, or refused") {
    Host host;
    int accepted = 0;
    for (int i = 0; i < 1000; i++) {
        CAPTURE(i);
        Record done, closed;
        berth_context context{0};
        REQUIRE(berth_open_submit(host.handle(), "no-such", nullptr, 0, nullptr, Record::callback, &done, &context) ==
                BERTH_RET_OK);
        for (int spin = 0; spin < i % 200 * 20 && !done.answered(); spin++)
            std::atomic_signal_fence(std::memory_order_seq_cst); // another moment each time
        int ret = berth_close(context, Record::callback, &closed);
        REQUIRE((ret == BERTH_RET_OK || ret == BERTH_RET_CLOSED || ret == BERTH_RET_INVALID_CTX));
        accepted += ret == BERTH_RET_OK;
        REQUIRE(eventually([&] { return done.answered() && (closed.answered() || ret != BERTH_RET_OK); }));
        CHECK(closed.terminal == (ret == BERTH_RET_OK ? 1 : 0));
    }
    CHECK(accepted > 0);
}

namespace {

// Takes descriptors until so many are free, and gives them back.
class FewDescriptors {
  public:
    explicit FewDescriptors(int free) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit few = before_;
        few.rlim_cur = 200;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
        for (int fd; (fd = ::dup(STDIN_FILENO)) >= 0;)
            taken_.push_back(fd);
        for (int i = 0; i < free; i++) {
            ::close(taken_.back());
            taken_.pop_back();
        }
    }
    ~FewDescriptors() {
        for (int fd : taken_)
            ::close(fd);
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }
    FewDescriptors(const FewDescriptors &) = delete;

  private:
    rlimit before_{};
    std::vector<int> taken_;
};

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a host without a descriptor for the worker's pidfd loses that open, and nothing else") {
    Host host;
    Context before(host);
    {
        FewDescriptors few(3); // segment, and two to be woken by
        Answer answer = open_answer(host, "echo");
        CHECK(answer.ret == BERTH_RET_EXHAUSTED);
        CHECK(answer.bytes.find("descriptor") != std::string::npos);
        CHECK(before.call("echo", "here") == Answer{0, "here"});
    }
    Context after(host);
    CHECK(after.call("echo", "there") == Answer{0, "there"});
    CHECK(before.call("echo", "still") == Answer{0, "still"});
}

// Its socket holds some 280 opens. Those that find it full would take their five seconds one after the other, or be
// forgotten.
TEST_CASE_FIXTURE(LeakChecked, "openers of a service that stands still wait side by side, each within its own bound") {
    constexpr int kOpeners = 50, kOpens = 8;
    Service service;
    Host host(service.socket());
    CHECK(Context(host).call("echo", "before") == Answer{0, "before"});
    service.send(SIGSTOP);
    std::atomic<int> over{0}, wrong{0};
    std::vector<std::thread> openers;
    for (int i = 0; i < kOpeners; i++)
        openers.emplace_back([&] {
            for (int open = 0; open < kOpens; open++) {
                int ret = open_answer(host, "echo", "", nullptr, {.timeout_ms = 100}).ret;
                wrong += ret != BERTH_RET_TIMEOUT && ret != BERTH_RET_UNAVAILABLE;
            }
            over++;
        });
    CHECK(eventually([&] { return over == kOpeners; }));
    int open = -1, static_call = -1;
    openers.emplace_back([&] { open = open_answer(host, "echo").ret; });
    openers.emplace_back([&] {
        berth_reply reply{};
        static_call = berth_call_static(host.handle(), "echo", "version", nullptr, 0, -1, &reply);
        berth_reply_free(&reply);
    });
    sleep_ms(100); // they find the socket full
    service.send(SIGCONT);
    for (std::thread &opener : openers)
        opener.join();
    CHECK(wrong == 0);
    CHECK(open == BERTH_RET_OK);
    CHECK(static_call == BERTH_RET_OK);
    CHECK(Context(host).call("echo", "after") == Answer{0, "after"});
}

TEST_CASE_FIXTURE(LeakChecked, "a disconnect closes busy contexts side by side") {
    Service service;
    Host watcher(service.socket());
    auto host = std::make_unique<Host>(service.socket());
    Record records[4];
    for (Record &record : records) {
        Context context(*host);
        REQUIRE(context.submit("later", cbor(R"({"ms": 60000, "data": "x"})"), Record::callback, &record) == 0);
        context.forget();
    }
    std::thread leaves([&] { CHECK(berth_disconnect(host->handle()) == BERTH_RET_OK); });
    CHECK(eventually([&] {
        std::string status = watcher.status().bytes;
        for (int i = 0; i < 4; i++)
            if (text_at(status, "/contexts/" + std::to_string(i) + "/state") != "RecyclePending")
                return false;
        return true;
    }));
    leaves.join();
    host->forget();
    for (Record &record : records)
        CHECK(record.ret == BERTH_RET_RECYCLED);
}
