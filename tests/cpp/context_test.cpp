// Clients and contexts as values: moves, ends, deaths.
#include <csignal>

#include "fixture.h"

using namespace berth;
using namespace berth::test;

static_assert(!std::is_copy_constructible_v<Context> && std::is_nothrow_move_constructible_v<Context>);
static_assert(!std::is_copy_constructible_v<Client> && std::is_nothrow_move_constructible_v<Client>);

TEST_CASE_FIXTURE(LeakChecked, "a moved context goes on, listeners and requests in flight with it") {
    Client client = connected();
    Context first = client.open("echo").value();
    std::atomic<int> heard{0};
    REQUIRE(first.listen("tick", [&](Bytes) { heard++; }));
    auto later = first.async("later", later_request(50, "later"));
    Context second = std::move(first);
    CHECK(!first);
    CHECK(first.call("echo", "x", kMinute).ret() == BERTH_RET_INVALID_CTX);
    CHECK(second.call("echo", "x", kMinute).value().text() == "x");
    CHECK(later.get().value().text() == "later");
    REQUIRE(second.call("emit", cbor(R"({"count": 3, "bytes": 4})"), kMinute));
    CHECK(eventually([&] { return heard == 3; }));
    Client moved = std::move(client);
    CHECK(!client);
    CHECK(second.call("echo", "y", kMinute).value().text() == "y");
}

TEST_CASE_FIXTURE(LeakChecked, "a context closes at its end, and when another takes its place") {
    Client client = connected();
    {
        Context context = client.open("echo").value();
        CHECK(has_contexts(client));
    }
    CHECK(eventually([&] { return !has_contexts(client); }));
    Context context = client.open("echo").value();
    berth_context replaced = context.handle();
    context = client.open("echo").value();
    uint32_t ignored;
    CHECK(berth_method(replaced, "echo", &ignored) == BERTH_RET_INVALID_CTX);
    CHECK(context.call("echo", "x", kMinute).value().text() == "x");
    context = Context();
    CHECK(eventually([&] { return !has_contexts(client); }));
}

TEST_CASE_FIXTURE(LeakChecked, "close tells how it went, one time, and leaves the context empty") {
    Client client = connected();
    Context context = client.open("echo").value();
    auto in_flight = context.async("later", later_request(100, "drained"));
    Result<Closed> closed = context.close();
    REQUIRE(closed);
    CHECK(closed->outcome == Closed::Outcome::Drained);
    CHECK(in_flight.wait_for(Milliseconds(0)) == std::future_status::ready); // before close returned
    CHECK(in_flight.get().value().text() == "drained");
    CHECK(!context);
    CHECK(context.close().ret() == BERTH_RET_INVALID_CTX);
}

TEST_CASE_FIXTURE(LeakChecked, "a client that disconnects takes its contexts with it") {
    Client client = connected();
    Context context = client.open("echo").value();
    std::atomic<int> heard{0};
    REQUIRE(context.listen("tick", [&](Bytes) { heard++; }));
    auto in_flight = context.async("later", later_request(50, "drained"));
    CHECK(client.disconnect());
    CHECK(client.disconnect().ret() == BERTH_RET_INVALID_CTX);
    CHECK(in_flight.get().value().text() == "drained");
    CHECK(context.call("echo", "x", kMinute).ret() == BERTH_RET_INVALID_CTX);
    CHECK(context.close().ret() == BERTH_RET_INVALID_CTX);
}

TEST_CASE_FIXTURE(LeakChecked, "a kill breaks no promise: each future has WORKER_DIED, with signal and pid") {
    Client client = connected();
    Context context = client.open("echo").value();
    pid_t pid = worker_of(client);
    REQUIRE(pid > 0);
    std::vector<std::future<Result<Reply>>> futures;
    for (int i = 0; i < 50; i++)
        futures.push_back(context.async("later", later_request(600000, "never")));
    REQUIRE(::kill(pid, SIGKILL) == 0);
    for (auto &future : futures) {
        REQUIRE(future.wait_for(kMinute) == std::future_status::ready);
        Result<Reply> answer = future.get();
        REQUIRE(answer.ret() == BERTH_RET_WORKER_DIED);
        Death death = answer.error().death().value();
        CHECK(death.signal == SIGKILL);
        CHECK(!death.status);
        CHECK(death.pid == pid);
    }
    CHECK(context.async("echo", "x").get().ret() == BERTH_RET_WORKER_DIED); // refused, and told
    CHECK(context.close().value().outcome == Closed::Outcome::Killed);
}

TEST_CASE_FIXTURE(LeakChecked, "a death brings the last lines that the library wrote") {
    TempDir folder;
    write_file(folder / "probe.toml", "library = \"" + needed_variable("BERTH_TEST_MODULES") + "/libberth-probe.so\"\n");
    Client client = connected(folder.path());
    Context context = client.open("probe").value();
    REQUIRE(context.call("say", "so long", kMinute));
    REQUIRE(::kill(worker_of(client), SIGKILL) == 0);
    Result<Reply> answer = context.call("mute", {}, kMinute);
    REQUIRE(answer.ret() == BERTH_RET_WORKER_DIED);
    CHECK(answer.error().death()->last_log.find("on stderr: so long") != std::string::npos);
    CHECK(answer.error().message().find("on stderr: so long") != std::string::npos);
    CHECK(answer.error().death()->uses == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "threads share a context") {
    Client client = connected();
    const Context context = client.open("echo").value();
    Method echo = context.method("echo").value();
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; thread++)
        threads.emplace_back([&, thread] {
            for (int i = 0; i < 200; i++) {
                std::string text = std::to_string(thread * 1000 + i);
                right += context.call(echo, text, kMinute).value().text() == text;
                right += context.async(echo, text).get().value().text() == text;
            }
        });
    for (auto &thread : threads)
        thread.join();
    CHECK(right == 1600);
}

TEST_CASE_FIXTURE(LeakChecked, "large replies are whole, called for and sent for") {
    Client client = connected();
    Context context = client.open("echo").value();
    for (size_t len : {319u, 320u, 321u, 336u, 344u, 1u << 20}) {
        CAPTURE(len);
        std::string bytes(len, 'z');
        Reply reply = context.call("echo", bytes, kMinute).value();
        Reply moved = std::move(reply);
        CHECK(moved.text() == bytes);
        CHECK(context.async("echo", bytes).get().value().text() == bytes);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "requests queue behind an open that is under way, and share its fate") {
    Client client = connected();
    std::promise<int> opened, refused;
    auto note = [](std::promise<int> &promise) {
        return [&promise](const Answer &answer) { promise.set_value(answer.ret); };
    };
    Context context = client.open_submit("echo", {}, {}, note(opened)).value();
    auto answer = context.async("echo", "queued");
    CHECK(opened.get_future().get() == BERTH_RET_OK);
    CHECK(answer.get().value().text() == "queued");
    Context broken = client.open_submit("echo", cbor(R"({"fail": "not today"})"), {}, note(refused)).value();
    auto queued = broken.async("echo", "queued").get();
    CHECK(refused.get_future().get() == BERTH_RET_ERR);
    CHECK((queued.ret() == BERTH_RET_ERR || queued.ret() == BERTH_RET_INVALID_CTX));
}

TEST_CASE_FIXTURE(LeakChecked, "a context whose open failed waits for its callbacks at its end") {
    Client client = connected();
    for (int i = 0; i < 20; i++) {
        std::atomic<int> done{0};
        {
            Context context = client.open_submit("no-such-module", {}, {}, [&](const Answer &) { done++; }).value();
        }
        CHECK(done == 1);
    }
}

TEST_CASE_FIXTURE(LeakChecked, "options reach the library") {
    TempDir folder;
    ConnectOptions service;
    service.supervisor = ConnectOptions::Supervisor::Service;
    service.socket_path = folder / "no.sock";
    CHECK(Client::connect(service).ret() == BERTH_RET_UNAVAILABLE);
    write_file(folder / "renamed.toml", read_file(needed_variable("BERTH_MODULE_DIR") + "/echo.toml"));
    Client client = connected(folder.path());
    CHECK(client.open("sqlite").error().text().find("no module 'sqlite'") == 0);
    Client built = connected();
    OpenOptions options;
    options.max_in_flight = 1;
    Context context = built.open("echo", {}, options).value();
    auto first = context.async("later", later_request(600000, "x"));
    CHECK(context.call("echo", "x", kMinute).ret() == BERTH_RET_BUSY);
    options.open_timeout = Milliseconds(1);
    options.max_in_flight = 70000;
    CHECK(built.open("echo", {}, options).ret() == BERTH_RET_INVALID_ARGUMENT);
    std::string text = built.open("echo", cbor(R"({"fail": "not today"})")).error().message();
    CHECK(text == "ERR: not today");
}
