#include <doctest/doctest.h>

#include "bench/plot.h"
#include "bench/report.h"

using namespace berth::cli;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

void add_many(Histogram &samples, uint64_t from, uint64_t to) {
    for (uint64_t ns = from; ns < to; ns++)
        samples.add(ns);
}

Results some_results() {
    Results results;
    add_many(results.limit_spin, 100, 301);
    add_many(results.call_hot, 300, 501);
    add_many(results.limit_futex, 10000, 10201);
    add_many(results.limit_futex_paced, 10000, 10201);
    add_many(results.call_asleep, 20000, 20201);
    results.pipelined_per_s = {{64, {1e6, 3e6, 2e6}}, {256, {5e6, 1e6, 4e6}}};
    results.bandwidth = {{65536, {2000}}};
    results.memcpy = {{65536, {10000}}};
    results.one_cpu = {{"error", "not here"}};
    results.machine = {{"cpus", 2}, {"allowed_cpus", 2}, {"cpu", "x"}, {"kernel", "6"}, {"load", {0.5, 0, 0}}};
    return results;
}

} // namespace

TEST_CASE("a histogram is exact below 512 ns and within 0.4 % above") {
    for (uint64_t ns : {0, 1, 300, 511, 512, 513, 1023, 1024, 9999, 123456789}) {
        auto middle = static_cast<double>(Histogram::middle_of(Histogram::bucket_of(ns)));
        auto value = static_cast<double>(ns);
        CHECK(std::abs(middle - value) <= (ns < 512 ? 0 : value * 0.004));
    }
}

TEST_CASE("buckets rise with the values, without gaps") {
    uint32_t last = Histogram::bucket_of(0);
    for (uint64_t ns = 1; ns < 100000; ns++) {
        uint32_t bucket = Histogram::bucket_of(ns);
        CHECK_UNARY(bucket == last || bucket == last + 1);
        last = bucket;
    }
    Histogram histogram;
    histogram.add(UINT64_MAX);
    CHECK(histogram.count() == 1);
}

TEST_CASE("percentiles are the samples at their rank") {
    Histogram histogram;
    CHECK(histogram.percentile(0.5) == 0);
    add_many(histogram, 1, 101);
    CHECK(histogram.percentile(0) == 1);
    CHECK(histogram.percentile(0.5) == 50);
    CHECK(histogram.percentile(0.99) == 99);
    CHECK(histogram.percentile(1) == 100);
}

TEST_CASE("a curve rises to 1") {
    Histogram histogram;
    add_many(histogram, 10, 20);
    auto curve = histogram.curve();
    REQUIRE(curve.size() == 10);
    CHECK(curve.front() == std::pair<uint64_t, double>{10, 0.1});
    CHECK(curve.back().second == 1.0);
}

TEST_CASE("the median is a value that was measured") {
    CHECK(median({3, 1, 2}) == 2);
    CHECK(median({4, 1, 2, 3}) == 2);
    CHECK(median({}) == 0);
}

TEST_CASE("the report holds what was measured, and null for what was not") {
    Json report = report_json(some_results());
    CHECK(report["limit_spin_ns"]["p50"] == 200);
    CHECK(report["call_hot_ns"]["p50"] == 400);
    CHECK(report["ratios"]["call_hot"] == 2.0);
    CHECK(report["ratios"]["call_asleep"].get<double>() == doctest::Approx(2).epsilon(0.02));
    CHECK(report["pipelined_per_s"] == 4e6);
    CHECK(report["pipelined_depth"] == 256);
    CHECK(report["bandwidth_mb_s"]["65536"] == 2000);
    CHECK(report["copies_made"] == 3);
    CHECK(report["bandwidth_ratio"]["65536"] == 0.6);
    CHECK(report["unix_socket_ns"].is_null());
    CHECK(report["ratios"]["call_hot_to_unix_socket"].is_null());
    CHECK(report["cold_start_us"].is_null());
}

TEST_CASE("people see the numbers with their bounds") {
    std::string text = report_text(report_json(some_results()));
    CHECK(has(text, "2.00×"));
    CHECK(has(text, "≤ 3× bare spinning  ok"));
    CHECK(has(text, "≤ 1.3× bare futex  MISSED"));
    CHECK(has(text, "4,000,000"));
    CHECK(has(text, "60 %  ≥ 60 %  ok"));
    CHECK(has(text, "on one CPU: not here"));
}

TEST_CASE("a report of nothing can still be shown") {
    Results results;
    results.machine = some_results().machine;
    CHECK_NOTHROW(report_text(report_json(results)));
}

TEST_CASE("the plot is an SVG with a curve for each series that was measured") {
    Results results = some_results();
    std::string svg = plot_of(results);
    CHECK(svg.rfind("<svg ", 0) == 0);
    CHECK(has(svg, "</svg>"));
    size_t curves = 0;
    for (size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1))
        curves++;
    CHECK(curves == 5);
    CHECK(has(svg, "not measured"));
    CHECK(!has(svg, "nan"));
}
