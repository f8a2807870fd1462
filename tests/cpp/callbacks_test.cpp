// Callables: how often they run, where they may close what, and when they are gone.
#include "fixture.h"

using namespace berth;
using namespace berth::test;

namespace {

std::string emit(int count) { return cbor("{\"count\": " + std::to_string(count) + ", \"bytes\": 4}"); }

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "each callback runs once, and is done when its context has ended") {
    Client client = connected();
    std::vector<int> rets; // of the one thread that runs them; read after the end
    auto alive = std::make_shared<int>();
    {
        Context context = client.open("echo").value();
        for (int i = 0; i < 300; i++)
            REQUIRE(context.submit("echo", "x", [&rets, alive](const Answer &answer) { rets.push_back(answer.ret); }));
    }
    CHECK(rets == std::vector<int>(300, BERTH_RET_OK));
    CHECK(alive.use_count() == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "a refused request drops its callback unrun, within a callback too") {
    Client client = connected();
    Context context = client.open("echo").value();
    auto alive = std::make_shared<int>();
    std::string large((size_t(16) << 20) + 1, 'x');
    auto never = [alive](const Answer &) { FAIL("it ran"); };
    CHECK(context.submit("echo", large, never).ret() == BERTH_RET_TOO_LARGE);
    CHECK(context.submit("no-such-method", "x", never).ret() == BERTH_RET_INVALID_ARGUMENT);
    std::promise<std::pair<int, int>> rets;
    REQUIRE(context.submit("echo", "x", [&](const Answer &) {
        int refused = context.submit("echo", large, never).ret();
        rets.set_value({refused, context.close().ret()}); // it still knows where it is
    }));
    CHECK(rets.get_future().get() == std::pair<int, int>(BERTH_RET_TOO_LARGE, BERTH_RET_BUSY));
    CHECK(alive.use_count() == 2); // `never` itself
    CHECK(context.call("echo", "x", kMinute).value().text() == "x");
}

TEST_CASE_FIXTURE(LeakChecked, "a callback may call, and send on") {
    Client client = connected();
    Context context = client.open("echo").value();
    std::promise<std::string> said;
    REQUIRE(context.submit("echo", "a", [&](const Answer &first) {
        std::string text = first.bytes.str() + context.call("echo", "b", kMinute).value().bytes().str();
        REQUIRE(context.submit("echo", text, [&](const Answer &second) { said.set_value(second.bytes.str()); }));
    }));
    CHECK(said.get_future().get() == "ab");
}

TEST_CASE_FIXTURE(LeakChecked, "a callback may end its own context, which then closes behind it") {
    Client client = connected();
    auto context = std::make_unique<Context>(client.open("echo").value());
    std::promise<void> ended;
    std::atomic<int> cancelled{0};
    REQUIRE(context->submit("later", later_request(600000, "x"), [&](const Answer &answer) { cancelled += !answer.ok(); }));
    REQUIRE(context->submit("echo", "x", [&](const Answer &) {
        context.reset();
        ended.set_value();
    }));
    CHECK(ended.get_future().wait_for(kMinute) == std::future_status::ready);
    CHECK(client.disconnect()); // waits for the close, so for the other callback
    CHECK(cancelled == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "cancel answers the callback at once") {
    Client client = connected();
    Context context = client.open("echo").value();
    uint64_t id = 0;
    auto future = context.async("block", cbor(R"({"ms": 600000})"), &id);
    REQUIRE(id != 0);
    CHECK(context.cancel(id));
    CHECK(future.get().ret() == BERTH_RET_CANCELLED);
    CHECK(context.cancel(id).ret() == BERTH_RET_INVALID_ARGUMENT);
    CHECK(context.call("echo", "after", kMinute).value().text() == "after");
    context.async("no-such-method", {}, &id).get().error();
    CHECK(id == 0);
}

TEST_CASE_FIXTURE(LeakChecked, "after unlisten the callback is gone") {
    Client client = connected();
    Context context = client.open("echo").value();
    auto alive = std::make_shared<std::atomic<int>>(0);
    Result<uint64_t> listener = context.listen("tick", [alive](Bytes event) { *alive += event.size() == 4; });
    REQUIRE(listener);
    REQUIRE(context.call("emit", emit(5), kMinute));
    CHECK(eventually([&] { return *alive == 5; }));
    CHECK(context.unlisten(*listener));
    CHECK(alive.use_count() == 1);
    CHECK(context.unlisten(*listener).ret() == BERTH_RET_INVALID_ARGUMENT);
    CHECK(context.listen("", [](Bytes) {}).ret() == BERTH_RET_INVALID_ARGUMENT);
}

TEST_CASE_FIXTURE(LeakChecked, "unlisten waits for a callback that runs") {
    Client client = connected();
    Context context = client.open("echo").value();
    Gate entered, leave;
    std::atomic<bool> left{false};
    uint64_t listener = context
                            .listen("tick",
                                    [&](Bytes) {
                                        entered.open();
                                        leave.pass();
                                        left = true;
                                    })
                            .value();
    REQUIRE(context.call("emit", emit(1), kMinute));
    REQUIRE(entered.pass());
    std::thread opener([&] { leave.open(); });
    CHECK(context.unlisten(listener));
    CHECK(left);
    opener.join();
}

TEST_CASE_FIXTURE(LeakChecked, "a listener may end itself in its own callback, and is gone once that returns") {
    Client client = connected();
    Context context = client.open("echo").value();
    auto ran = std::make_shared<std::atomic<int>>(0);
    std::promise<uint64_t> id;
    std::shared_future<uint64_t> known = id.get_future().share();
    std::atomic<int> unlisten_ret{-1};
    id.set_value(context
                     .listen("tick",
                             [&, ran, known](Bytes) {
                                 (*ran)++;
                                 unlisten_ret = context.unlisten(known.get()).ret();
                                 (*ran)++; // what it holds is still there
                             })
                     .value());
    REQUIRE(context.call("emit", emit(3), kMinute));
    CHECK(eventually([&] { return ran.use_count() == 1; }));
    CHECK(*ran == 2);
    CHECK(unlisten_ret == BERTH_RET_OK);
}

TEST_CASE_FIXTURE(LeakChecked, "a listener may end its context") {
    Client client = connected();
    auto context = std::make_unique<Context>(client.open("echo").value());
    auto ran = std::make_shared<std::atomic<int>>(0);
    Gate ready;
    std::promise<int> outcome;
    REQUIRE(context->listen("tick", [&, ran](Bytes) {
        ready.pass(); // the caller below has its answer
        (*ran)++;
        outcome.set_value(static_cast<int>(context->close().value().outcome));
    }));
    REQUIRE(context->call("emit", emit(3), kMinute));
    ready.open();
    CHECK(outcome.get_future().get() == static_cast<int>(Closed::Outcome::Drained));
    CHECK(eventually([&] { return ran.use_count() == 1; }));
    CHECK(*ran == 1);
}

TEST_CASE_FIXTURE(LeakChecked, "a context that ends while events come in waits for its listeners") {
    Client client = connected();
    for (int round = 0; round < 20; round++) {
        auto alive = std::make_shared<std::atomic<int>>(0);
        {
            Context context = client.open("echo").value();
            REQUIRE(context.listen("tick", [alive](Bytes) { (*alive)++; }));
            REQUIRE(context.submit("emit", emit(500), [](const Answer &) {}));
            CHECK(eventually([&] { return *alive > 0; }));
        }
        CHECK(alive.use_count() == 1);
    }
}
