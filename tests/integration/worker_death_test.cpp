// A worker that dies takes nothing with it but itself.
#include <csignal>
#include <doctest/doctest.h>
#include <functional>
#include <memory>
#include <random>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <thread>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "manifests.h"
#include "probe_folder.h"
#include "processes.h"
#include "service.h"

using namespace berth::test;

namespace {

// A host of its own supervisor, whose workers of the echo module are spawned, or forked from a zygote.
struct EchoHost {
    EchoFolder echo;
    Host host;
    explicit EchoHost(bool zygote)
        : echo(zygote ? "zygote = true\nspares = 1\n" : "spares = 1\n"),
          host(Host::Private::FromFolder, echo.folder.path()) {}
};

// The last answer of a context whose worker is dead.
Answer verdict(const Context &context) {
    Answer answer;
    eventually([&] { return (answer = context.call("echo", "")).ret != BERTH_RET_OK; });
    return answer;
}

void check_died(const Answer &answer, pid_t pid, const char *key, int value) {
    CHECK(answer.ret == BERTH_RET_WORKER_DIED);
    CHECK_MESSAGE(number_at(answer.bytes, key) == value, json(answer.bytes));
    CHECK(number_at(answer.bytes, "/pid") == pid);
}

struct Flight {
    std::vector<std::unique_ptr<Record>> records;
    std::atomic<int> blocking_ok{0}, blocking_died{0}, blocking_odd{0};
};

std::string mixed_request(int i) { return later_request(static_cast<uint64_t>(i % 40), "payload"); }

// A thousand at once: every other by callback or by reaping, and four threads that block.
void fly(const Context &context, Flight &flight, const std::function<void()> &then_kill) {
    for (int i = 0; i < 1000; i++) {
        flight.records.push_back(std::make_unique<Record>());
        auto *record = flight.records.back().get();
        int ret = context.submit("later", mixed_request(i), i % 2 ? Record::callback : nullptr, record);
        if (ret != BERTH_RET_OK)
            record->note(ret, nullptr, 0);
    }
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; thread++)
        threads.emplace_back([&] {
            for (int ret = BERTH_RET_OK; ret == BERTH_RET_OK || ret == BERTH_RET_BUSY;) {
                ret = context.call("echo", "blocking").ret;
                flight.blocking_ok += ret == BERTH_RET_OK;
                flight.blocking_died += ret == BERTH_RET_WORKER_DIED;
                flight.blocking_odd += ret != BERTH_RET_OK && ret != BERTH_RET_WORKER_DIED && ret != BERTH_RET_BUSY;
            }
        });
    then_kill();
    eventually([&] { return reap_into_records(context.handle(), 200) < 0; });
    for (auto &thread : threads)
        thread.join();
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "SIGKILL at random moments with a thousand requests in flight: one answer each") {
    for (bool zygote : {false, true}) {
        CAPTURE(zygote);
        EchoHost own(zygote);
        Host &host = own.host;
        std::mt19937 random(7);
        for (int round = 0; round < 20; round++) {
            CAPTURE(round);
            Context context(host, "echo", "", {.max_in_flight = 2048});
            pid_t pid = host.worker();
            REQUIRE(pid > 0);
            Flight flight;
            fly(context, flight, [&] {
                sleep_ms(static_cast<int>(random() % 30));
                ::kill(pid, SIGKILL);
            });
            CHECK(flight.blocking_odd == 0);
            CHECK(flight.blocking_died == 4);
            int answered_once = 0, odd = 0;
            eventually([&] {
                answered_once = 0;
                for (auto &record : flight.records)
                    answered_once += record->terminal == 1;
                return answered_once == 1000;
            });
            CHECK(answered_once == 1000);
            for (auto &record : flight.records) {
                odd += record->ret != BERTH_RET_OK && record->ret != BERTH_RET_WORKER_DIED;
                if (record->ret == BERTH_RET_WORKER_DIED && number_at(record->bytes, "/signal") != SIGKILL)
                    odd++;
            }
            CHECK(odd == 0);
            check_died(verdict(context), pid, "/signal", SIGKILL);
            CHECK(context.close() == BERTH_RET_OK);
            Context next(host);
            CHECK(next.call("echo", "next") == Answer{0, "next"});
        }
    }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

TEST_CASE_FIXTURE(LeakChecked, "each way to die is told with its signal or status, and the next open works") {
    for (bool zygote : {false, true}) {
        CAPTURE(zygote);
        EchoHost own(zygote);
        Host &host = own.host;
        struct Way {
            const char *how, *key;
            int value;
        };
        for (Way way : {Way{"segv", "/signal", SIGSEGV}, Way{"abort", "/signal", SIGABRT}, Way{"exit", "/status", 3},
                        Way{"stack", "/signal", SIGSEGV}}) {
            CAPTURE(way.how);
            Context context(host);
            pid_t pid = host.worker();
            Answer answer = context.call("die", cbor("{\"how\": \"" + std::string(way.how) + "\"}"));
            CHECK(answer.ret == BERTH_RET_WORKER_DIED);
            CHECK(number_at(answer.bytes, "/pid") == pid);
            // A sanitizer may exit in the signal's place.
            if (!kSanitized || number_at(answer.bytes, "/status") != 1)
                CHECK_MESSAGE(number_at(answer.bytes, way.key) == way.value, json(answer.bytes));
            CHECK(verdict(context).ret == BERTH_RET_WORKER_DIED);
            CHECK(context.close() == BERTH_RET_OK);
        }
        CHECK(Context(host).call("echo", "next") == Answer{0, "next"});
    }
}

// A debugger at its prompt: the worker is dead, and nobody can have its status before the tracer has.
TEST_CASE_FIXTURE(LeakChecked, "a worker that dies under a tracer is reaped when the tracer has looked") {
    for (bool zygote : {false, true}) {
        CAPTURE(zygote);
        EchoHost hosts(zygote);
        Context context(hosts.host);
        pid_t worker = hosts.host.worker();
        if (::ptrace(PTRACE_SEIZE, worker, nullptr, nullptr) != 0) {
            MESSAGE("not tried: ptrace is refused here");
            return;
        }
        ::kill(worker, SIGKILL);
        CHECK(verdict(context).ret == BERTH_RET_WORKER_DIED);
        CHECK(Context(hosts.host).call("echo", "another") == Answer{0, "another"});
        sleep_ms(200); // the supervisor has tried
        CHECK_FALSE(read_file("/proc/" + std::to_string(worker) + "/stat").empty());
        ::waitpid(worker, nullptr, __WALL);
        CHECK(eventually([&] { return read_file("/proc/" + std::to_string(worker) + "/stat").empty(); }));
    }
}

TEST_CASE_FIXTURE(LeakChecked, "the death of one worker is nothing to the other contexts") {
    Host host;
    Context dying(host), living(host);
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0}, right{0};
    std::thread caller([&] {
        while (!stop)
            (living.call("echo", "steady") == Answer{0, "steady"} ? right : wrong)++;
    });
    CHECK(dying.call("die", cbor(R"({"how": "abort"})")).ret == BERTH_RET_WORKER_DIED);
    int before = right;
    CHECK(eventually([&] { return right > before + 100; }));
    stop = true;
    caller.join();
    CHECK(wrong == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "a worker killed while an open waits for create ends the open") {
    for (bool zygote : {false, true}) {
        CAPTURE(zygote);
        EchoHost own(zygote);
        Host &host = own.host;
        for (int round = 0; round < 10; round++) {
            std::atomic<bool> done{false};
            std::thread killer([&] {
                while (!done) {
                    for (pid_t pid : own_processes("berth-worker"))
                        ::kill(pid, SIGKILL);
                    sleep_ms(round);
                }
            });
            berth_context context{0};
            Answer answer = open_answer(host, "echo", "", &context, {.timeout_ms = 2000});
            done = true;
            killer.join();
            CHECK(host.reset("echo").ret == BERTH_RET_OK); // else the rounds wait for each other
            CAPTURE(answer.bytes);
            CHECK((answer.ret == BERTH_RET_OK || answer.ret == BERTH_RET_WORKER_DIED || answer.ret == BERTH_RET_ERR ||
                   answer.ret == BERTH_RET_TIMEOUT || answer.ret == BERTH_RET_EXHAUSTED));
            if (answer.ret == BERTH_RET_OK)
                CHECK(berth_close(context, nullptr, nullptr) == BERTH_RET_OK);
        }
        berth_context context{0};
        CHECK(eventually([&] { return open_answer(host, "echo", "", &context).ret == BERTH_RET_OK; }));
    }
}

TEST_CASE_FIXTURE(LeakChecked, "an idle worker that has died unseen is not given to an open") {
    Manifests manifests;
    manifests.add_echo("spares = 0\n");
    Service service({.modules = manifests.path()});
    Host host(service.socket());
    { Context first(host); }
    std::vector<pid_t> idle;
    REQUIRE(eventually([&] { return (idle = own_processes("berth-worker")).size() == 1; }));
    sleep_ms(100); // for the supervisor to have it back
    service.send(SIGSTOP);
    ::kill(idle[0], SIGKILL);
    std::thread later([&] {
        sleep_ms(200);
        service.send(SIGCONT);
    });
    Answer answer = open_answer(host, "echo"); // the supervisor finds it beside the death
    later.join();
    CHECK(answer.ret == BERTH_RET_OK);
}
