// The conformance table through one binding: which rows ran, by name.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <iostream>
#include <set>

#include "leak_check.h"
#include "processes.h"
#include "row_run.h"

using namespace berth::table;
using berth::test::LeakChecked;

namespace {

Json rows_of(const char *file) {
    Json table = Json::parse(berth::test::read_file(std::string(BERTH_SOURCE_DIR "/tests/conformance/") + file));
    REQUIRE(table["format"] == 1);
    std::set<std::string> names;
    for (const Json &row : table["rows"])
        CHECK_MESSAGE(names.insert(row["name"]).second, "twice: " << row["name"]);
    REQUIRE(!names.empty());
    return table["rows"];
}

std::string described(const std::optional<Failure> &failure) {
    return failure ? fmt::format("step {} {}", failure->step, failure->why) : "it did not fail";
}

void report(size_t rows, size_t ok) {
    std::cout << fmt::format("table ({}): {} rows, {} ok, {} failed\n", kBindingName, rows, ok, rows - ok);
    CHECK(ok == rows);
}

} // namespace

TEST_CASE_FIXTURE(LeakChecked, "every row of the conformance table is as it says") {
    std::unique_ptr<Binding> binding = connect_binding();
    Json rows = rows_of("table.json");
    size_t ok = 0;
    for (const Json &row : rows) {
        std::optional<Failure> failure = run_row(*binding, row);
        ok += !failure;
        std::cout << (failure ? "FAILED " : "ok ") << row["name"].get<std::string>()
                  << (failure ? ": " + described(failure) : "") << '\n';
    }
    report(rows.size(), ok);
}

TEST_CASE_FIXTURE(LeakChecked, "a row with a wrong expectation fails, and at its step") {
    std::unique_ptr<Binding> binding = connect_binding();
    Json rows = rows_of("table_wrong.json");
    size_t ok = 0;
    for (const Json &row : rows) {
        std::optional<Failure> failure = run_row(*binding, row);
        bool right = failure && failure->step == row["fails_at"];
        ok += right;
        std::cout << (right ? "ok " : "FAILED ") << row["name"].get<std::string>() << ": " << described(failure) << '\n';
    }
    report(rows.size(), ok);
}
