#include "bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace berth::cli {

uint32_t Histogram::bucket_of(uint64_t ns) {
    ns = std::min<uint64_t>(ns, (uint64_t{1} << kMostBits) - 1);
    if (ns < 1u << kExactBits)
        return static_cast<uint32_t>(ns);
    unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - kExactBits;
    auto within = static_cast<uint32_t>(ns >> shift) - kPerDoubling;
    return (1u << kExactBits) + (shift - 1) * kPerDoubling + within;
}

uint64_t Histogram::middle_of(uint32_t bucket) {
    if (bucket < 1u << kExactBits)
        return bucket;
    uint32_t above = bucket - (1u << kExactBits);
    unsigned shift = above / kPerDoubling + 1;
    uint64_t low = static_cast<uint64_t>(above % kPerDoubling + kPerDoubling) << shift;
    return low + (uint64_t{1} << shift) / 2;
}

uint64_t Histogram::percentile(double share) const {
    auto rank = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < kBuckets; bucket++) {
        seen += buckets_[bucket];
        if (seen && seen >= rank)
            return middle_of(bucket);
    }
    return 0;
}

std::vector<std::pair<uint64_t, double>> Histogram::curve() const {
    std::vector<std::pair<uint64_t, double>> points;
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < kBuckets; bucket++)
        if (buckets_[bucket]) {
            seen += buckets_[bucket];
            points.emplace_back(middle_of(bucket), static_cast<double>(seen) / static_cast<double>(count_));
        }
    return points;
}

double median(std::vector<double> values) {
    if (values.empty())
        return 0;
    auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

} // namespace berth::cli
