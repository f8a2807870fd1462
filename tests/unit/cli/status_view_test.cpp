#include <doctest/doctest.h>

#include "status_view.h"
#include "table.h"

using namespace berth::cli;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("columns are aligned, numbers to the right, and no line ends in blanks") {
    Table table({"pid", "module", "x"});
    table.add({"7", "echo", ""});
    table.add({"12345", "sqlite", "1"});
    CHECK(table.text() == "  pid  module  x\n    7  echo\n12345  sqlite  1\n");
}

TEST_CASE("characters that take more than a byte keep the columns aligned") {
    Table table({"a", "b"});
    table.add({"µ", "x"});
    table.add({"zz", "y"});
    CHECK(table.text() == "a   b\nµ   x\nzz  y\n");
}

TEST_CASE("bytes and numbers are readable") {
    CHECK(human_bytes(64) == "64 B");
    CHECK(human_bytes(65536) == "64 KiB");
    CHECK(human_bytes(1572864) == "1.5 MiB");
    CHECK(human_number(1234567) == "1,234,567");
    CHECK(human_number(317) == "317");
    CHECK(human_number(42.46) == "42.5");
    CHECK(human_number(1000) == "1,000");
}

TEST_CASE("status shows every part") {
    Json status = Json::parse(R"({
        "daemon": {"pid": 1, "rss_bytes": 2097152},
        "modules": [{"name": "echo", "version": "1.0"}],
        "workers": [{"pid": 42, "module": "echo", "state": "Leased", "uses": 3, "rss_bytes": 1048576}],
        "contexts": [{"id": 9, "module": "echo", "worker_pid": 42, "host_pid": 5, "state": "Active", "in_flight": 0}]})");
    std::string text = status_text(status);
    CHECK(has(text, "2 MiB"));
    CHECK(has(text, "Leased"));
    CHECK(has(text, "Active"));
    CHECK(has(text, "worker_pid"));
    CHECK_FALSE(has(text, "zygotes"));
    status["zygotes"] = Json::parse(R"([{"pid": 7, "module": "echo", "state": "Ready", "forks": 12}])");
    CHECK(has(status_text(status), "zygotes\n"));
    CHECK(has(status_text(status), "Ready"));
}

TEST_CASE("of users whose workers say otherwise of a module the table has the uids") {
    Json status = Json::parse(R"({"modules": [{"name": "echo", "differs": [
        {"uid": 1000, "error": "a long one"}, {"uid": 1001, "methods": ["a"]}, 7]}, {"name": "sqlite"}]})");
    std::string text = modules_text(status);
    CHECK(has(text, "differs\n"));
    CHECK(has(text, "uid 1000, 1001, 7\n"));
    CHECK_FALSE(has(text, "a long one"));
}

TEST_CASE("missing and null keys are dashes") {
    Json status = Json::parse(R"({"workers": [{"pid": 42, "rss_bytes": null}]})");
    std::string text = status_text(status);
    CHECK(has(text, " 42       -      -     -    -\n"));
    CHECK(has(text, "no modules"));
    CHECK_NOTHROW(status_text(Json()));
    CHECK_NOTHROW(status_text(Json::parse(R"({"daemon":null,"modules":null,"workers":1,"contexts":[null]})")));
}

TEST_CASE("keys that nobody expected get a column") {
    CHECK(has(modules_text(Json::parse(R"({"modules":[{"name":"m","quarantined":true}]})")), "quarantined"));
}

TEST_CASE("modules in a map by name are a list too") {
    Json list = modules_of(Json::parse(R"({"modules":{"echo":{"version":"1"}}})"));
    CHECK(dump(list) == R"([{"name":"echo","version":"1"}])");
}
