// Latencies in buckets less than 0.4 % wide, so that a million samples cost a few cache lines and no allocation.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace berth::cli {

class Histogram {
  public:
    Histogram() : buckets_(kBuckets) {}
    void add(uint64_t ns) {
        buckets_[bucket_of(ns)]++;
        count_++;
    }
    uint64_t count() const { return count_; }
    // The value that `share` (0 to 1) of the samples do not exceed; 0 without samples.
    uint64_t percentile(double share) const;
    // (value, share of the samples that do not exceed it), rising.
    std::vector<std::pair<uint64_t, double>> curve() const;

    static uint32_t bucket_of(uint64_t ns);
    static uint64_t middle_of(uint32_t bucket);

  private:
    static constexpr unsigned kExactBits = 9; // below 2^9 a bucket is 1 ns; above, 2^8 buckets for each doubling
    static constexpr unsigned kMostBits = 40; // about 18 minutes
    static constexpr uint32_t kPerDoubling = 1u << (kExactBits - 1);
    static constexpr uint32_t kBuckets = (1u << kExactBits) + (kMostBits - kExactBits) * kPerDoubling;

    std::vector<uint32_t> buckets_;
    uint64_t count_ = 0;
};

// Of an even number of values the lower of the two in the middle; 0 without values.
double median(std::vector<double> values);

} // namespace berth::cli
