#include "supervisor/words_book.h"

#include <doctest/doctest.h>

using namespace berth;

namespace {

ModuleWords words(const std::string &version) { return {version, "\1\2\3\4", "echo"}; }

} // namespace

TEST_CASE("what one user's workers say is that user's alone") {
    WordsBook book;
    book.ready(1, words("1.0"));
    book.ready(2, {"lie", "", ""});
    book.failed(3, "cannot be loaded");
    CHECK(*book.of(1).said == words("1.0"));
    CHECK(book.of(1).error == "");
    CHECK(book.of(2).said->version == "lie");
    CHECK(book.of(2).said->methods == "");
    CHECK(*book.of(3).said == ModuleWords{});
    CHECK(book.of(3).error == "cannot be loaded");
    CHECK(*book.of(4).said == ModuleWords{});
    CHECK(book.of(4).error == "");
    CHECK(book.entries().size() == 3); // to ask is not to say
}

TEST_CASE("the last word holds: an error stands beside what was said before, until a worker gets ready") {
    WordsBook book;
    book.ready(1, words("1.0"));
    book.failed(1, "no memory");
    CHECK(book.of(1).said->version == "1.0");
    CHECK(book.of(1).error == "no memory");
    book.ready(1, words("1.1"));
    CHECK(book.of(1).said->version == "1.1");
    CHECK(book.of(1).error == "");
}

TEST_CASE("a worker keeps what it said itself; those that say the same have it in common") {
    WordsBook book;
    auto first = book.ready(1, words("1.0"));
    CHECK(book.ready(1, words("1.0")) == first);
    auto other = book.ready(1, words("2.0"));
    CHECK(first->version == "1.0");
    CHECK(other->version == "2.0");
}

TEST_CASE("of too many users the one is forgotten whose workers have said nothing for longest") {
    WordsBook book;
    for (uid_t uid = 0; uid < WordsBook::kMostUsers; uid++)
        book.ready(uid, words("1.0"));
    book.failed(0, "once more");
    auto kept = book.of(1).said;
    book.ready(1000, words("1.0"));
    CHECK(book.entries().size() == WordsBook::kMostUsers);
    CHECK(*book.of(1).said == ModuleWords{});
    CHECK(*kept == words("1.0")); // its workers have it still
    CHECK(book.of(0).error == "once more");
    CHECK(book.of(2).said->version == "1.0");
}

TEST_CASE("an error is cut at its bound, and never inside a character") {
    WordsBook book;
    book.failed(1, std::string(WordsBook::kMostError - 1, 'x') + "é and more");
    CHECK(book.of(1).error == std::string(WordsBook::kMostError - 1, 'x'));
    book.failed(1, std::string(WordsBook::kMostError, 'x'));
    CHECK(book.of(1).error.size() == WordsBook::kMostError);
}
