// The latencies of one run as an SVG: share of the round trips against their length.
#pragma once

#include "bench/plan.h"

namespace berth::cli {

struct Series {
    std::string name;
    const Histogram *samples;
    std::string colour; // any that SVG knows
    bool dashed = false;
};

// x: nanoseconds, logarithmic. y: nines (50 %, 90 %, 99 %, …), so that the tail is as readable as the middle.
std::string plot_svg(const std::vector<Series> &series, const std::string &title);
std::string plot_of(const Results &results);

} // namespace berth::cli
