// What a manifest says of workers: how many, how long, and what they may have held.
#include <csignal>
#include <doctest/doctest.h>
#include <memory>
#include <set>
#include <vector>

#include "cbor_text.h"
#include "host.h"
#include "leak_check.h"
#include "probe_folder.h"
#include "service.h"

using namespace berth::test;

namespace {

// A context that is opened and closed again: its worker, and how many creates that one has seen.
struct Visit {
    pid_t pid;
    std::string serial;
};
Visit visit(const Host &host, const char *also = nullptr) {
    Context context(host, "probe");
    if (also)
        CHECK(context.call(also, "").ret == BERTH_RET_OK);
    Visit result{host.worker(), context.call("serial", "").bytes};
    CHECK(context.close() == BERTH_RET_OK);
    return result;
}

// A worker that was closed is back within milliseconds; an open before that may get a new one.
void settle(const Host &host) {
    CHECK(eventually([&] {
        std::string status = host.status().bytes;
        for (int i = 0;; i++) {
            std::string state = text_at(status, "/workers/" + std::to_string(i) + "/state");
            if (state.empty())
                return true;
            if (state != "Idle")
                return false;
        }
    }));
}

std::string state_of_worker(const Host &host, pid_t pid) {
    std::string status = host.status().bytes;
    for (int i = 0;; i++) {
        std::string at = "/workers/" + std::to_string(i);
        int64_t here = number_at(status, at + "/pid");
        if (here == pid)
            return text_at(status, at + "/state");
        if (here < 0)
            return "";
    }
}

int count_state(const Host &host, const std::string &state) {
    std::string status = host.status().bytes;
    int count = 0;
    for (int i = 0; number_at(status, "/workers/" + std::to_string(i) + "/pid") > 0; i++)
        count += text_at(status, "/workers/" + std::to_string(i) + "/state") == state;
    return count;
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "a worker serves one context after the other, and keeps what its process keeps") {
    ProbeFolder probe;
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    Visit first = visit(host);
    settle(host);
    Visit second = visit(host);
    CHECK(second.pid == first.pid);
    CHECK(first.serial == "1");
    CHECK(second.serial == "2");
}

TEST_CASE_FIXTURE(LeakChecked, "recycle = process: each context has a process of its own") {
    ProbeFolder probe("recycle = \"process\"\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    std::set<pid_t> seen;
    for (int i = 0; i < 4; i++) {
        Visit one = visit(host);
        CHECK(one.serial == "1");
        CHECK(seen.insert(one.pid).second);
        CHECK(gone_soon(one.pid));
    }
}

TEST_CASE_FIXTURE(LeakChecked, "max_uses: the worker is replaced after so many contexts") {
    ProbeFolder probe("max_uses = 3\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    Visit visits[4];
    for (auto &one : visits) {
        one = visit(host);
        settle(host);
    }
    CHECK(visits[0].pid == visits[2].pid);
    CHECK(visits[2].serial == "3");
    CHECK(visits[3].pid != visits[0].pid);
    CHECK(visits[3].serial == "1");
    CHECK(gone_soon(visits[0].pid));
}

TEST_CASE_FIXTURE(LeakChecked, "max_rss_mib: a worker whose library has grown is not handed on") {
    ProbeFolder probe("max_rss_mib = 48\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    Visit small = visit(host);
    settle(host);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // under which every worker is larger
    CHECK(visit(host).pid == small.pid);
    settle(host);
#endif
    Visit large = visit(host, "leak");
    CHECK(gone_soon(large.pid));
    CHECK(visit(host).serial == "1");
}

TEST_CASE_FIXTURE(LeakChecked, "max_age_ms: an idle worker is replaced when it is too old, and the spare is there again") {
    ProbeFolder probe("max_age_ms = 400\nspares = 1\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    Visit first = visit(host);
    CHECK(gone_soon(first.pid));
    CHECK(eventually([&] { return count_state(host, "Idle") == 1; }));
}

TEST_CASE_FIXTURE(LeakChecked, "max_age_ms: a worker that is too old serves its context to the end") {
    ProbeFolder probe("max_age_ms = 100\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    Context old(host, "probe");
    pid_t worker = host.worker();
    sleep_ms(300);
    CHECK(Context(host, "probe").call("serial", "").ret == BERTH_RET_OK);
    CHECK(old.call("serial", "") == Answer{0, "1"});
    CHECK(alive(worker));
    CHECK(old.close() == BERTH_RET_OK);
    CHECK(gone_soon(worker));
}

TEST_CASE_FIXTURE(LeakChecked, "idle_timeout_ms: an idle worker that no spare is made of ends") {
    ProbeFolder probe("idle_timeout_ms = 300\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    CHECK(gone_soon(visit(host).pid));
    CHECK(visit(host).serial == "1");
}

TEST_CASE_FIXTURE(LeakChecked, "spares are made in the background, and again when they are taken") {
    ProbeFolder probe("spares = 2\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    CHECK(eventually([&] { return count_state(host, "Idle") == 2; }));
    Context first(host, "probe"), second(host, "probe");
    CHECK(eventually([&] { return count_state(host, "Idle") == 2; }));
}

TEST_CASE_FIXTURE(LeakChecked, "max_recycling: one teardown at a time, and each context is closed all the same") {
    ProbeFolder probe("max_recycling = 1\ndrain_timeout_ms = 30000\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    std::vector<std::unique_ptr<Context>> contexts;
    std::vector<std::unique_ptr<Record>> closed;
    for (int i = 0; i < 4; i++) {
        contexts.push_back(std::make_unique<Context>(host, "probe", "200"));
        closed.push_back(std::make_unique<Record>());
    }
    for (int i = 0; i < 4; i++)
        REQUIRE(berth_close(contexts[i]->handle(), Record::callback, closed[i].get()) == BERTH_RET_OK);
    int most = 0;
    CHECK(eventually([&] {
        int answered = 0;
        most = std::max(most, count_state(host, "Recycling"));
        for (auto &record : closed)
            answered += record->answered();
        return answered == 4;
    }));
    CHECK(most == 1);
    for (int i = 0; i < 4; i++) {
        CHECK(text_at(closed[i]->bytes, "/outcome") == "drained");
        contexts[i]->forget();
    }
}

TEST_CASE_FIXTURE(LeakChecked, "the status shows a close on its way: RecyclePending, Recycling, and the worker Idle again") {
    ProbeFolder probe("drain_timeout_ms = 30000\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    Context context(host, "probe", "600");
    pid_t worker = host.worker();
    CHECK(text_at(host.status().bytes, "/contexts/0/state") == "Active");
    Record mute, closed;
    uint64_t id = 0;
    REQUIRE(context.submit("mute", "", Record::callback, &mute, &id) == BERTH_RET_OK);
    REQUIRE(berth_close(context.handle(), Record::callback, &closed) == BERTH_RET_OK);
    CHECK(eventually([&] { return text_at(host.status().bytes, "/contexts/0/state") == "RecyclePending"; }));
    CHECK(state_of_worker(host, worker) == "Draining");
    CHECK(number_at(host.status().bytes, "/contexts/0/since_ms") >= 0);
    ::kill(worker, SIGKILL); // the request is never answered, and the drain is long
    CHECK(eventually([&] { return closed.answered(); }));
    CHECK(mute.ret == BERTH_RET_RECYCLED);
    CHECK(text_at(closed.bytes, "/outcome") == "killed");
    CHECK(number_at(closed.bytes, "/cut_off") == 1);
    context.forget();

    Context slow(host, "probe", "4000");
    worker = host.worker();
    Record over;
    REQUIRE(berth_close(slow.handle(), Record::callback, &over) == BERTH_RET_OK);
    bool seen = false;
    CHECK(eventually([&] {
        std::string status = host.status().bytes;
        seen |= text_at(status, "/contexts/0/state") == "Recycling" && state_of_worker(host, worker) == "Recycling";
        return over.answered();
    }));
    CHECK(seen);
    CHECK(text_at(over.bytes, "/outcome") == "drained");
    CHECK(eventually([&] { return state_of_worker(host, worker) == "Idle"; }));
    slow.forget();
}

TEST_CASE_FIXTURE(LeakChecked, "an open that finds no worker free waits until its deadline, and is told why it got none") {
    ProbeFolder probe("max_contexts = 1\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    auto first = std::make_unique<Context>(host, "probe");
    Answer none = open_answer(host, "probe", "", nullptr, {.timeout_ms = 200});
    CHECK(none.ret == BERTH_RET_EXHAUSTED);
    CHECK_MESSAGE(none.bytes.find("max_contexts") != std::string::npos, none.bytes);
    Record done;
    berth_context waiting{0};
    REQUIRE(berth_open_submit(host.handle(), "probe", nullptr, 0, nullptr, Record::callback, &done, &waiting) ==
            BERTH_RET_OK);
    CHECK(eventually([&] { return text_at(host.status().bytes, "/contexts/1/state") == "Opening"; }));
    first.reset();
    CHECK(eventually([&] { return done.answered(); }));
    CHECK(done.ret == BERTH_RET_OK);
    CHECK(berth_close(waiting, nullptr, nullptr) == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "every policy stands in the status, with its default") {
    ProbeFolder probe("spares = 0\nmax_uses = 7\noverflow = \"sticky\"\n");
    Service service({.modules = probe.folder.path()});
    Host host(service.socket());
    std::string status = host.status().bytes, policy = "/modules/0/policy/";
    struct {
        const char *key;
        int64_t value;
    } const expected[] = {{"spares", 0},          {"max_contexts", 0},       {"max_recycling", 0},
                          {"max_uses", 7},        {"max_rss_mib", 0},        {"max_age_ms", 0},
                          {"idle_timeout_ms", 60000}, {"drain_timeout_ms", 1500}, {"teardown_timeout_ms", 10000},
                          {"start_grace_ms", 10000},  {"max_events", 16384},      {"max_event_bytes", 16 << 20}};
    for (const auto &[key, value] : expected)
        CHECK_MESSAGE(number_at(status, policy + key) == value, key);
    CHECK(text_at(status, policy + "recycle") == "context");
    CHECK(json(status).find("\"zygote\":false") != std::string::npos);
    CHECK(text_at(status, policy + "overflow") == "sticky");
}
