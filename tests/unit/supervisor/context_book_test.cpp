#include "supervisor/context_book.h"

#include <doctest/doctest.h>

using namespace berth;
using Closing = ContextBook::Closing;

TEST_CASE("a host may close what it has, once with effect") {
    ContextBook book;
    book.opened(ContextId{7});
    CHECK(book.closing(ContextId{8}) == Closing::NotYours);
    CHECK(book.closing(ContextId{7}) == Closing::Mine);
    CHECK(book.closing(ContextId{7}) == Closing::Late);
    book.ended(ContextId{7});
    CHECK(book.closing(ContextId{7}) == Closing::NotYours);
}

TEST_CASE("a close that crosses the context's end is late, not wrong") {
    ContextBook book;
    book.opened(ContextId{7});
    book.ended(ContextId{7});
    CHECK(book.closing(ContextId{7}) == Closing::Late);
    CHECK(book.closing(ContextId{7}) == Closing::NotYours);
}

TEST_CASE("a host that never closes what ended is believed later") {
    ContextBook book;
    book.opened(ContextId{1});
    for (uint64_t id = 2; id <= 5000; id++) {
        book.opened(ContextId{id});
        book.ended(ContextId{id});
    }
    CHECK(book.closing(ContextId{2}) == Closing::Late);
    CHECK(book.closing(ContextId{5000}) == Closing::Late);
    CHECK(book.closing(ContextId{5001}) == Closing::NotYours);
    CHECK(book.closing(ContextId{0}) == Closing::NotYours);
    CHECK(book.closing(ContextId{1}) == Closing::Mine);
}
