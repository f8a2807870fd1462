#include "supervisor/wear.h"

#include <doctest/doctest.h>
#include <string>

using namespace berth;

namespace {

std::string reached(const WearLimits &limits, const Wear &wear) {
    const char *key = limits.reached_by(wear);
    return key ? key : "";
}

} // namespace

TEST_CASE("a worker without limits never wears out") {
    CHECK(reached({}, {UINT64_MAX, UINT64_MAX, UINT64_MAX}) == "");
}

TEST_CASE("each limit is reached at its value, the memory's beyond it") {
    WearLimits limits{3, 1000, 4096};
    CHECK(reached(limits, {2, 999, 4096}) == "");
    CHECK(reached(limits, {3, 0, 0}) == "max_uses");
    CHECK(reached(limits, {0, 1000, 0}) == "max_age_ms");
    CHECK(reached(limits, {0, 0, 4097}) == "max_rss_mib");
}

TEST_CASE("limits are drawn up to an eighth below the manifest's, small ones exactly") {
    Manifest manifest;
    manifest.max_uses = 80;
    manifest.max_age_ms = 7;
    manifest.max_rss_mib = 2;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t random = 0; random < 1000; random++) {
        auto limits = WearLimits::draw(manifest, random);
        least = std::min(least, limits.max_uses);
        most = std::max(most, limits.max_uses);
        CHECK(limits.max_age_ms == 7);
        CHECK(limits.max_rss_bytes == 2u << 20);
    }
    CHECK(least == 70);
    CHECK(most == 80);
    CHECK(WearLimits::draw(Manifest{}, 5).max_uses == 0);
}
