#include <doctest/doctest.h>

#include "backend.h"
#include "cbor_text.h"
#include "processes.h"

using namespace berth::test;

namespace {

// Called directly a module answers "cancelled" itself; a host hears CANCELLED at once.
void check_cancelled(const Answer &answer, bool hosted) {
    if (hosted)
        CHECK(answer == Answer{BERTH_RET_CANCELLED, "the request was cancelled"});
    else
        CHECK((answer.ret == BERTH_RET_CANCELLED || answer.bytes == "cancelled"));
}

} // namespace

TEST_CASE("cancel of a request that waits, runs or queues: one answer, CANCELLED") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        uint64_t waits = echo->submit("later", later_request(60000, "x"));
        uint64_t runs = echo->submit("block", cbor(R"({"ms": 60000})"));
        uint64_t queues = echo->submit("block", cbor(R"({"ms": 60001})"));
        sleep_ms(50);
        for (uint64_t request : {waits, queues, runs}) {
            CHECK(echo->cancel(request) == 0);
            check_cancelled(echo->wait(request), backend.hosted());
        }
        CHECK(echo->call("echo", "after") == Answer{0, "after"});
        for (uint64_t request : {waits, runs, queues})
            CHECK(!echo->answered_twice(request));
    });
}

TEST_CASE("cancel of what is answered, or never was, is refused and does nothing") {
    on_every_backend(
        [](Backend &backend) {
            auto echo = backend.open("echo");
            uint64_t done = echo->submit("echo", "x");
            CHECK(echo->wait(done) == Answer{0, "x"});
            CHECK(echo->cancel(done) == BERTH_RET_INVALID_ARGUMENT);
            berth_context context = echo->context()->handle();
            for (uint64_t id : {uint64_t(0), ~uint64_t(0), uint64_t(1) << 32, uint64_t(99999)})
                CHECK(berth_cancel(context, id) == BERTH_RET_INVALID_ARGUMENT);
            CHECK(!echo->answered_twice(done));
        },
        For::Hosted);
}

TEST_CASE("cancel racing with the answer: exactly one of the two") {
    on_every_backend([](Backend &backend) {
        auto echo = backend.open("echo");
        int cancelled = 0;
        for (int i = 0; i < 200; i++) {
            uint64_t request = echo->submit("later", later_request(static_cast<uint64_t>(i % 3), "answer"));
            if (i % 2)
                sleep_ms(1);
            echo->cancel(request);
            Answer answer = echo->wait(request);
            cancelled += answer.ret != 0;
            CHECK((answer == Answer{0, "answer"} || answer.ret == 17 || answer.bytes == "cancelled"));
            CHECK(!echo->answered_twice(request));
        }
        CHECK(cancelled > 0);
    });
}

TEST_CASE("cancel interrupts a long query of sqlite") {
    on_every_backend([](Backend &backend) {
        auto db = backend.open("sqlite");
        uint64_t request = db->submit(
            "query",
            cbor(R"({"sql": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n"})"));
        sleep_ms(100);
        CHECK(db->cancel(request) == 0);
        Answer answer = db->wait(request);
        if (backend.hosted())
            CHECK(answer.ret == BERTH_RET_CANCELLED);
        else
            CHECK(answer.bytes.find("SQLITE_INTERRUPT") == 0);
        CHECK(json(db->call("query", cbor(R"({"sql": "SELECT 1"})")).bytes).find("[[1]]") != std::string::npos);
    });
}

TEST_CASE_FIXTURE(LeakChecked, "cancelled requests give their places back, with nobody waiting for an answer") {
    Host host;
    Context context(host, "echo", "", {.max_in_flight = 4});
    for (int i = 0; i < 20; i++) {
        Record record;
        uint64_t id;
        int ret = -1;
        CHECK(eventually([&] {
            ret = context.submit("later", later_request(600000, "x"), Record::callback, &record, &id);
            return ret != BERTH_RET_BUSY;
        }));
        REQUIRE(ret == BERTH_RET_OK);
        CHECK(berth_cancel(context.handle(), id) == BERTH_RET_OK);
        CHECK(eventually([&] { return record.answered(); }));
    }
}
