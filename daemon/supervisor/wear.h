// When a worker has served enough and is replaced rather than handed on, by its module's policies. Pure.
#pragma once

#include <cstdint>

#include "supervisor/manifest.h"

namespace berth {

struct Wear {
    uint64_t uses;
    uint64_t age_ms;
    uint64_t rss_bytes; // looked at only where there is a limit
};

// One worker's own limits; 0: none.
struct WearLimits {
    uint64_t max_uses = 0;
    uint64_t max_age_ms = 0;
    uint64_t max_rss_bytes = 0;

    // Up to an eighth below the manifest's, by `random`: of workers that started together few end together.
    static WearLimits draw(const Manifest &manifest, uint32_t random) {
        auto below = [random](uint64_t most) { return most - random % (most / 8 + 1); };
        return {below(manifest.max_uses), below(manifest.max_age_ms), uint64_t{manifest.max_rss_mib} << 20};
    }

    // The key of the limit that is reached; nullptr: none.
    const char *reached_by(const Wear &wear) const {
        if (max_uses && wear.uses >= max_uses)
            return "max_uses";
        if (max_age_ms && wear.age_ms >= max_age_ms)
            return "max_age_ms";
        if (max_rss_bytes && wear.rss_bytes > max_rss_bytes)
            return "max_rss_mib";
        return nullptr;
    }
};

} // namespace berth
