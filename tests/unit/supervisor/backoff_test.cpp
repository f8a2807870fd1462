#include "supervisor/backoff.h"

#include <doctest/doctest.h>

using namespace berth;

TEST_CASE("waits double from 100 ms to 10 s, and success forgets them") {
    Backoff backoff;
    CHECK(backoff.left_ms(0) == 0);
    for (uint64_t wait : {100, 200, 400, 800, 1600, 3200, 6400, 10'000, 10'000}) {
        backoff.failed(1'000'000);
        CHECK(backoff.left_ms(1'000'000) == wait);
        CHECK(backoff.left_ms(1'000'000 + wait) == 0);
    }
    backoff.succeeded();
    CHECK(backoff.left_ms(1'000'000) == 0);
    backoff.failed(0);
    CHECK(backoff.left_ms(30) == 70);
}
