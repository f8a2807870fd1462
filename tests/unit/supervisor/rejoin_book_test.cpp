#include "supervisor/rejoin_book.h"

#include <doctest/doctest.h>

using berth::ContextId;
using berth::RejoinBook;
using Answer = RejoinBook::Answer;

namespace {

const std::string kToken(16, 't'), kOther(16, 'o');

const berth::Identity kUser{1000, 1000, {27}};

RejoinBook::Returned worker(const std::string &token = kToken, uint64_t former = 7) {
    return {token, former, 100, kUser};
}

RejoinBook::Claim claim(const std::string &token = kToken, uint64_t former = 7) {
    return {1, 1, token, former, 100, kUser};
}

} // namespace

TEST_CASE("host and worker find each other in either order") {
    RejoinBook book;
    CHECK(!book.worker_came(ContextId{1}, worker()).claim);
    auto verdict = book.host_came(claim(), 0);
    CHECK(verdict.answer == Answer::Yes);
    CHECK(verdict.context == ContextId{1});

    CHECK(book.host_came(claim(kOther, 8), 0).answer == Answer::Wait);
    auto paired = book.worker_came(ContextId{2}, worker(kOther, 8));
    REQUIRE(paired.claim);
    CHECK(paired.claim->former_id == 8);
    CHECK(paired.denied.empty());
    CHECK(!book.due_ms());
}

TEST_CASE("a worker is claimed once, also by a host that waited") {
    RejoinBook book;
    book.worker_came(ContextId{1}, worker());
    CHECK(book.host_came(claim(), 0).answer == Answer::Yes);
    CHECK(book.host_came(claim(), 0).answer == Answer::Denied);
    book.context_over(ContextId{1});
    CHECK(book.host_came(claim(), 0).answer == Answer::Wait);
    CHECK(book.host_came(claim(), 0).answer == Answer::Denied); // one like it waits
}

TEST_CASE("a wrong token, process, user, group or set of groups is denied, whoever comes first") {
    for (int wrong = 0; wrong < 5; wrong++) {
        CAPTURE(wrong);
        auto returned = worker();
        auto thief = claim();
        if (wrong == 0)
            thief.token = kOther;
        else if (wrong == 1)
            thief.pid = 101;
        else
            returned.identity = wrong == 2   ? berth::Identity{1001, 1000, {27}}
                                : wrong == 3 ? berth::Identity{1000, 27, {27}}
                                             : berth::Identity{1000, 1000, {}};
        RejoinBook book;
        book.worker_came(ContextId{1}, returned);
        CHECK(book.host_came(thief, 0).answer == Answer::Denied);
        RejoinBook late;
        CHECK(late.host_came(thief, 0).answer == Answer::Wait);
        auto paired = late.worker_came(ContextId{1}, returned);
        CHECK(!paired.claim);
        REQUIRE(paired.denied.size() == 1);
        CHECK(paired.denied[0].pid == thief.pid);
        if (wrong < 2)
            CHECK(late.host_came(claim(), 0).answer == Answer::Yes); // the worker is still to be had
    }
}

TEST_CASE("a stranger's worker with another's context number costs that context's host nothing") {
    auto stranger = worker(kOther);
    stranger.identity = berth::Identity{1001, 1001, {}};
    stranger.host_pid = 999;
    RejoinBook book;
    book.worker_came(ContextId{1}, stranger);
    CHECK(book.host_came(claim(), 0).answer == Answer::Wait);
    stranger.identity = worker().identity;
    CHECK(book.worker_came(ContextId{2}, stranger).denied.empty());
    CHECK(book.worker_came(ContextId{3}, worker()).claim);
}

TEST_CASE("a claim for a context that has its host already says nothing of one with the same former id") {
    RejoinBook book;
    book.worker_came(ContextId{1}, worker());
    CHECK(book.host_came(claim(), 0).answer == Answer::Yes);
    CHECK(book.host_came(claim(kOther), 0).answer == Answer::Wait);
    CHECK(book.worker_came(ContextId{2}, worker(kOther)).claim);
}

TEST_CASE("claims wait for a bound, in order, and not for a host that is gone") {
    RejoinBook book;
    auto second = claim(kOther, 8);
    second.host = 2;
    book.host_came(claim(), 10);
    book.host_came(second, 20);
    CHECK(book.waiting(1) == 1);
    CHECK(book.due_ms() == 10 + RejoinBook::kPatienceMs);
    CHECK(book.expired(9 + RejoinBook::kPatienceMs).empty());
    auto expired = book.expired(10 + RejoinBook::kPatienceMs);
    REQUIRE(expired.size() == 1);
    CHECK(expired[0].host == 1);
    CHECK(book.due_ms() == 20 + RejoinBook::kPatienceMs);
    book.host_gone(2);
    CHECK(!book.due_ms());
    CHECK(book.expired(UINT64_MAX).empty());
}

TEST_CASE("tokens are the same, or not, and an empty one is nobody's") {
    CHECK(berth::same_token(kToken, std::string(16, 't')));
    CHECK(!berth::same_token(kToken, kOther));
    CHECK(!berth::same_token(kToken, kToken.substr(1)));
    CHECK(!berth::same_token("", ""));
}
