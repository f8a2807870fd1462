#include <doctest/doctest.h>

#include "backend.h"
#include "cbor_text.h"
#include "processes.h"

using namespace berth::test;

namespace {

Answer sql(Instance &db, const char *method, const std::string &text, const std::string &params = "") {
    std::string rest = params.empty() ? "" : ", \"params\": " + params;
    return db.call(method, cbor("{\"sql\": \"" + text + "\"" + rest + "}"));
}

} // namespace

TEST_CASE("sqlite: what exec writes, query reads back, with bound parameters of every kind") {
    on_every_backend([](Backend &backend) {
        auto db = backend.open("sqlite");
        CHECK(sql(*db, "exec", "CREATE TABLE t(i, f, s, n)").ret == 0);
        Answer inserted = sql(*db, "exec", "INSERT INTO t VALUES(?, ?, ?, ?)", R"([42, 2.5, "text", null])");
        CHECK(number_at(inserted.bytes, "/changes") == 1);
        Answer rows = sql(*db, "query", "SELECT i, f, s, n FROM t WHERE i = ?", "[42]");
        CHECK(json(rows.bytes) == R"({"changes":0,"columns":["i","f","s","n"],"rows":[[42,2.5,"text",null]]})");
        CHECK(number_at(sql(*db, "query", "SELECT 9223372036854775807").bytes, "/rows/0/0") == INT64_MAX);
    });
}

TEST_CASE("sqlite: errors bring SQLite's code and text") {
    on_every_backend([](Backend &backend) {
        auto db = backend.open("sqlite");
        Answer missing = sql(*db, "query", "SELECT * FROM absent");
        CHECK(missing.ret == 1);
        CHECK_MESSAGE(missing.bytes == "SQLITE_ERROR (1): no such table: absent", missing.bytes);
        CHECK(sql(*db, "exec", "CREATE TABLE u(x UNIQUE); INSERT INTO u VALUES(1)").ret == 0);
        Answer twice = sql(*db, "exec", "INSERT INTO u VALUES(1)");
        CHECK(twice.ret == 1);
        CHECK_MESSAGE(twice.bytes.find("SQLITE_CONSTRAINT_UNIQUE (2067): ") == 0, twice.bytes);
    });
}

TEST_CASE("sqlite: a database in a file, then read-only") {
    on_every_backend([](Backend &backend) {
        TempDir folder;
        std::string path = "\"path\": \"" + (folder / "data.db") + "\"";
        auto db = backend.open("sqlite", cbor("{" + path + "}"));
        CHECK(sql(*db, "exec", "CREATE TABLE t(x); INSERT INTO t VALUES(7)").ret == 0);
        db.reset();
        db = backend.open("sqlite", cbor("{" + path + ", \"read_only\": true}"));
        CHECK(number_at(sql(*db, "query", "SELECT x FROM t").bytes, "/rows/0/0") == 7);
        CHECK(sql(*db, "exec", "INSERT INTO t VALUES(8)").bytes.find("SQLITE_READONLY") == 0);
        db.reset();
        std::string why;
        CHECK(!backend.open("sqlite", cbor(R"({"path": "/no/such/folder/x.db"})"), &why));
        CHECK_MESSAGE(why.find("SQLITE_CANTOPEN") != std::string::npos, why);
    });
}

TEST_CASE("sqlite: changes are told as events") {
    on_every_backend([](Backend &backend) {
        auto db = backend.open("sqlite");
        sql(*db, "exec", "CREATE TABLE watched(x)");
        db->listen("changed");
        CHECK(sql(*db, "exec", "INSERT INTO watched VALUES(1), (2), (3)").ret == 0);
        auto events = db->events(1);
        REQUIRE(!events.empty());
        CHECK(text_at(events[0], "/table") == "watched");
        CHECK(number_at(events[0], "/changes") == 3);
    });
}

TEST_CASE("sqlite: two contexts are two databases") {
    on_every_backend(
        [](Backend &backend) {
            auto first = backend.open("sqlite"), second = backend.open("sqlite");
            CHECK(sql(*first, "exec", "CREATE TABLE only_here(x)").ret == 0);
            CHECK(sql(*second, "query", "SELECT * FROM only_here").ret == 1);
        },
        For::Hosted);
}
