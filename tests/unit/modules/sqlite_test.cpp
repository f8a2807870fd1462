#include "module_fixture.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <unistd.h>

using namespace berth::test;
using namespace std::chrono_literals;

namespace {

constexpr const char *kEndless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

struct Closed : ModuleFixture {
    Closed() : ModuleFixture("BERTH_SQLITE_SO") {}

    Json exec(const char *sql) { return ok("exec", {{"sql", sql}}); }
    Json rows(const char *sql, const Json &params = Json::array()) {
        return ok("query", {{"sql", sql}, {"params", params}})["rows"];
    }
    std::vector<Json> changed() {
        std::vector<Json> all;
        for (const DirectEvent &event : module().take_events()) {
            CHECK(event.name == "changed");
            all.push_back(from_cbor(event.bytes));
        }
        return all;
    }
};

struct Sqlite : Closed {
    Sqlite() { create(); }
    void make_t() { exec("CREATE TABLE t (a INTEGER UNIQUE, b)"); }
};

struct TemporaryFolder {
    TemporaryFolder() { path = mkdtemp(name); }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
    std::string file() const { return (path / "db").string(); }
    char name[32] = "/tmp/berth-sqlite-XXXXXX";
    std::filesystem::path path;
};

// Braces alone would make objects of pairs, and copies of single values.
Json list(std::initializer_list<Json> values) { return Json(std::vector<Json>(values)); }

Json change(const char *table, int changes) { return {{"table", table}, {"changes", changes}}; }

size_t open_fds() {
    auto fds = std::filesystem::directory_iterator("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
}

} // namespace

TEST_CASE_FIXTURE(Closed, "version needs no context") {
    CHECK(ok("version", Json::object()).get<std::string>().starts_with("3."));
}

TEST_CASE_FIXTURE(Closed, "create says what is wrong with its configuration") {
    CHECK(create_fails(cbor({{"path", "/nowhere/at/all"}})) == "SQLITE_CANTOPEN (14): unable to open database file");
    CHECK(create_fails(cbor({{"path", 1}})) == "create: key \"path\": not text");
    CHECK(create_fails(cbor({{"path", std::string("a\0b", 3)}})) == "create: key \"path\": holds a zero byte");
    CHECK(create_fails(cbor({{"read_only", 1}})) == "create: key \"read_only\": not a boolean");
    CHECK(create_fails(cbor({{"busy_timeout_ms", -1}})).ends_with("not an unsigned integer"));
    CHECK(create_fails(cbor({{"pth", ""}})) == "create: key \"pth\": unknown");
    TemporaryFolder folder;
    std::ofstream(folder.file()) << std::string(4096, 'x');
    CHECK(create_fails(cbor({{"path", folder.file()}})) == "SQLITE_NOTADB (26): file is not a database");
}

TEST_CASE_FIXTURE(Closed, "a file keeps its rows, can be opened for reading only, and is closed by destroy") {
    TemporaryFolder folder;
    size_t before = open_fds();
    create({{"path", folder.file()}});
    exec("CREATE TABLE t (a); INSERT INTO t VALUES (7)");
    module().destroy();
    create({{"path", folder.file()}, {"read_only", true}});
    CHECK(rows("SELECT a FROM t") == Json{{7}});
    CHECK(error("exec", {{"sql", "DELETE FROM t"}}) == "SQLITE_READONLY (8): attempt to write a readonly database");
    exec("BEGIN");
    rows("SELECT a FROM t");
    module().destroy();
    CHECK(open_fds() == before);
}

TEST_CASE_FIXTURE(Sqlite, "exec runs several statements and tells what they changed") {
    CHECK(exec("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2); /* and */ UPDATE t SET a = 3; -- end") ==
          Json{{"changes", 4}, {"last_insert_rowid", 2}});
    CHECK(exec("") == Json{{"changes", 0}, {"last_insert_rowid", 2}});
    CHECK(exec(" ; ;; SELECT 1;")["changes"] == 0);
    CHECK(exec("CREATE TABLE u (a)")["changes"] == 0);
}

TEST_CASE_FIXTURE(Sqlite, "exec stops at the first failure and keeps what was before") {
    CHECK(error("exec", {{"sql", "CREATE TABLE t (a); nonsense; CREATE TABLE u (a)"}}) ==
          "SQLITE_ERROR (1): near \"nonsense\": syntax error");
    CHECK(rows("SELECT name FROM sqlite_schema") == Json{{"t"}});
}

TEST_CASE_FIXTURE(Sqlite, "exec takes params with a single statement only") {
    make_t();
    CHECK(ok("exec", {{"sql", "INSERT INTO t VALUES (?, ?);  "}, {"params", {1, 2}}})["changes"] == 1);
    CHECK(error("exec", {{"sql", "DELETE FROM t; DELETE FROM t"}, {"params", Json::array()}}) ==
          "exec: key \"sql\": more than one statement");
    CHECK(error("exec", {{"sql", "DELETE FROM t WHERE a = ?"}}) == "exec: params: 0 given, the statement takes 1");
    CHECK(rows("SELECT count(*) FROM t") == Json{{1}});
}

TEST_CASE_FIXTURE(Sqlite, "every kind of value goes in and comes back") {
    Json values = {0,       -1,       INT64_MAX,     INT64_MIN, 1.5, 1e300, "", "\xe2\x82\xac", std::string("a\0b", 3),
                   nullptr, blob({}), blob({0, 255})};
    for (const Json &value : values)
        CHECK(rows("SELECT ?", list({value})) == list({list({value})}));
    CHECK(rows("SELECT ?, typeof(?)", list({true, false})) == list({list({1, "integer"})}));
    CHECK(rows("SELECT typeof(?)", list({std::nan("")})) == list({list({"null"})}));
    CHECK(rows("SELECT typeof(?), typeof(?)", list({"", blob({})})) == list({list({"text", "blob"})}));
    CHECK(rows("SELECT 9e999")[0][0] == std::numeric_limits<double>::infinity());
    CHECK(rows("SELECT CAST(x'ff' AS TEXT)") == list({list({blob({255})})}));
}

TEST_CASE_FIXTURE(Sqlite, "floats of half and single width are bound") {
    std::string head = "\xa2\x63sql\x68SELECT ?\x66params";
    CHECK(from_cbor(module().call("query", head + "\x81\xf9\x3e" + std::string(1, 0)).bytes)["rows"] == Json{{1.5}});
    CHECK(from_cbor(module().call("query", head + "\x81\xfa\x3f\xc0" + std::string(2, 0)).bytes)["rows"] ==
          Json{{1.5}});
}

TEST_CASE_FIXTURE(Sqlite, "values that SQLite cannot hold are refused by place") {
    Json request = {{"sql", "SELECT ?, ?"}, {"params", {1, UINT64_MAX}}};
    CHECK(error("query", request) == "query: params[1]: an integer beyond 64 bits with sign");
    request["params"][1] = Json::array();
    CHECK(error("query", request) == "query: params[1]: not a value that SQLite can hold");
    request["params"] = {1};
    CHECK(error("query", request) == "query: params: 1 given, the statement takes 2");
    request["params"] = 1;
    CHECK(error("query", request) == "query: params: not an array or a map");
    std::string least = std::string("\xa2\x63sql\x68SELECT ?\x66params\x81\x3b") + std::string(8, '\xff');
    CHECK(error_of("query", least) == "query: params[0]: an integer beyond 64 bits with sign");
}

TEST_CASE_FIXTURE(Sqlite, "named parameters match every prefix, and must all be given") {
    CHECK(rows("SELECT :a, @b, $c, @a", {{"a", 1}, {"b", "x"}, {"c", nullptr}}) == Json{{1, "x", nullptr, 1}});
    auto refused = [&](const Json &params) {
        return error("query", {{"sql", "SELECT :a, @b, ?9"}, {"params", params}});
    };
    CHECK(refused({{"a", 1}, {"z", 1}}) == "query: params[\"z\"]: no such parameter");
    CHECK(refused({{"a", 1}}) == "query: params: no value for @b");
    CHECK(refused({{"a", Json::object()}}) == "query: params[\"a\"]: not a value that SQLite can hold");
    CHECK(refused({{"a", 1}, {std::string("b\0", 2), 1}}) == "query: params[\"b\"]: no such parameter");
    CHECK(error_of("query", "\xa2\x63sql\x69SELECT :a\x66params\xa2\x61"
                            "a\x01\x61"
                            "a\x02") == "query: params[\"a\"]: given twice");
}

TEST_CASE_FIXTURE(Sqlite, "query gives columns, rows and changes") {
    CHECK(ok("query", {{"sql", "SELECT 1 AS a, 'x' AS a WHERE 0"}}) ==
          Json{{"columns", {"a", "a"}}, {"rows", Json::array()}, {"changes", 0}});
    make_t();
    CHECK(ok("query", {{"sql", "INSERT INTO t VALUES (1, 2), (3, 4) RETURNING b"}}) ==
          Json{{"columns", {"b"}}, {"rows", {{2}, {4}}}, {"changes", 2}});
    CHECK(ok("query", {{"sql", "DELETE FROM t"}}) ==
          Json{{"columns", Json::array()}, {"rows", Json::array()}, {"changes", 2}});
    CHECK(ok("query", {{"sql", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 70000) "
                               "SELECT i FROM n"}})["rows"][69999] == Json{70000});
}

TEST_CASE_FIXTURE(Sqlite, "query takes one statement, no more and no less") {
    CHECK(error("query", {{"sql", "SELECT 1; SELECT 2"}}) == "query: key \"sql\": more than one statement");
    CHECK(error("query", {{"sql", "SELECT 1; nonsense"}}) == "query: key \"sql\": more than one statement");
    CHECK(error("query", {{"sql", " -- nothing"}}) == "query: key \"sql\": no statement");
    CHECK(error("query", {{"sql", std::string("SELECT 1\0;", 10)}}) == "query: key \"sql\": holds a zero byte");
    CHECK(rows("SELECT 1; ; /* nothing */ -- more") == Json{{1}});
    CHECK(error("query", {{"sql", "SELECT 1"}, {"parms", 1}}) == "query: key \"parms\": unknown");
    CHECK(error_of("query", "\x9b\x00") == "query: not a CBOR map: it is cut short");
}

TEST_CASE_FIXTURE(Sqlite, "a reply over 16 MiB is an error that leaves nothing changed") {
    make_t();
    std::string numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20) ";
    CHECK(error("query", {{"sql", numbers + "SELECT zeroblob(1048576) FROM n"}}) ==
          "query: the reply would pass 16 MiB after 15 rows");
    CHECK(error("query", {{"sql", "SELECT zeroblob(500000000)"}}) == "query: the reply would pass 16 MiB after 0 rows");
    CHECK(error("query", {{"sql", "INSERT INTO t VALUES (1, zeroblob(17000000)) RETURNING b"}}) ==
          "query: the reply would pass 16 MiB after 0 rows");
    CHECK(rows("SELECT count(*) FROM t") == Json{{0}});
    CHECK(changed().empty());
    CHECK(ok("query", {{"sql", "SELECT zeroblob(16777000)"}})["rows"][0][0].get_binary().size() == 16777000);
}

TEST_CASE_FIXTURE(Sqlite, "errors carry SQLite's extended code, its name and its text") {
    exec("CREATE TABLE t (a UNIQUE NOT NULL CHECK (a > 0)); INSERT INTO t VALUES (1)");
    CHECK(error("exec", {{"sql", "INSERT INTO t VALUES (1)"}}) ==
          "SQLITE_CONSTRAINT_UNIQUE (2067): UNIQUE constraint failed: t.a");
    CHECK(error("exec", {{"sql", "INSERT INTO t VALUES (NULL)"}}) ==
          "SQLITE_CONSTRAINT_NOTNULL (1299): NOT NULL constraint failed: t.a");
    CHECK(error("exec", {{"sql", "INSERT INTO t VALUES (0)"}}).starts_with("SQLITE_CONSTRAINT_CHECK (275): "));
    CHECK(error("query", {{"sql", "SELECT * FROM u"}}) == "SQLITE_ERROR (1): no such table: u");
}

TEST_CASE_FIXTURE(Sqlite, "batch runs a statement for every row, or for none") {
    make_t();
    CHECK(ok("batch", {{"sql", "INSERT INTO t VALUES (?, ?)"}, {"rows", {{1, "x"}, {2, nullptr}, {3, 0.5}}}}) ==
          Json{{"changes", 3}});
    CHECK(changed() == std::vector{change("t", 3)});
    CHECK(error("batch", {{"sql", "INSERT INTO t VALUES (?, ?)"}, {"rows", {{4, 0}, {1, 0}}}}) ==
          "SQLITE_CONSTRAINT_UNIQUE (2067): UNIQUE constraint failed: t.a (rows[1])");
    CHECK(error("batch", {{"sql", "INSERT INTO t VALUES (?, ?)"}, {"rows", {{4, 0}, {5}}}}) ==
          "batch: rows[1]: 1 given, the statement takes 2");
    CHECK(error("batch", {{"sql", "INSERT INTO t VALUES (?, ?)"}, {"rows", {{4, 0}, {5, Json::array()}}}}) ==
          "batch: rows[1][1]: not a value that SQLite can hold");
    CHECK(rows("SELECT count(*) FROM t") == Json{{3}});
    CHECK(changed().empty());
    CHECK(ok("batch", {{"sql", "UPDATE t SET b = :b WHERE a = :a"}, {"rows", {{{"a", 1}, {"b", 2}}}}})["changes"] == 1);
    CHECK(ok("batch", {{"sql", "DELETE FROM t"}, {"rows", Json::array()}})["changes"] == 0);
    CHECK(error("batch", {{"sql", "DELETE FROM t"}}) == "batch: key \"rows\": missing");
    CHECK(error("batch", {{"sql", "DELETE FROM t"}, {"rows", 1}}) == "batch: key \"rows\": not an array");
}

TEST_CASE_FIXTURE(Sqlite, "a batch in a transaction of the host's is undone alone") {
    make_t();
    exec("BEGIN; INSERT INTO t VALUES (1, 0)");
    error("batch", {{"sql", "INSERT INTO t VALUES (?, 0)"}, {"rows", {{2}, {1}}}});
    CHECK(changed().empty());
    exec("COMMIT");
    CHECK(changed() == std::vector{change("t", 1)});
    CHECK(rows("SELECT a FROM t") == Json{{1}});
}

TEST_CASE_FIXTURE(Sqlite, "changed tells each table once, when it is committed") {
    exec("CREATE TABLE t (a); CREATE TABLE u (a); CREATE TEMP TABLE v (a)");
    CHECK(changed().empty());
    exec(
        "BEGIN; INSERT INTO u VALUES (1), (2); INSERT INTO t VALUES (1); UPDATE u SET a = 0; INSERT INTO v VALUES (1)");
    CHECK(changed().empty());
    exec("COMMIT");
    CHECK(changed() == std::vector{change("t", 1), change("temp.v", 1), change("u", 4)});
    exec("BEGIN; DELETE FROM t; ROLLBACK; SELECT * FROM t");
    CHECK(changed().empty());
}

TEST_CASE_FIXTURE(Sqlite, "changed knows of savepoints and of statements undone in a transaction") {
    exec("CREATE TABLE t (a UNIQUE); BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2);"
         "SAVEPOINT x; INSERT INTO t VALUES (3); RELEASE x; ROLLBACK TO S; INSERT INTO t VALUES (4)");
    error("exec", {{"sql", "INSERT INTO t VALUES (5), (6), (1)"}});
    error("exec", {{"sql", "INSERT OR FAIL INTO t VALUES (7), (1)"}});
    exec("RELEASE s; COMMIT");
    CHECK(changed() == std::vector{change("t", 3)});
    CHECK(rows("SELECT count(*) FROM t") == Json{{3}});
    error("exec", {{"sql", "INSERT INTO t VALUES (8), (1)"}});
    CHECK(changed().empty());
}

TEST_CASE_FIXTURE(Sqlite, "changed counts replaced rows once, whole-table deletes, and tables WITHOUT ROWID") {
    exec("CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1), (2); CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID");
    changed();
    exec("REPLACE INTO t VALUES (1)");
    CHECK(changed() == std::vector{change("t", 1)});
    exec("DELETE FROM t");
    CHECK(changed() == std::vector{change("t", 2)});
    exec("INSERT INTO w VALUES (1), (2)");
    CHECK(changed() == std::vector{change("w", 2)});
    exec("DROP TABLE t; DROP TABLE w; VACUUM");
    CHECK(rows("SELECT count(*) FROM sqlite_schema") == Json{{0}});
    CHECK(changed().empty());
}

TEST_CASE_FIXTURE(Sqlite, "cancel interrupts the running request, and only that one") {
    berth_request endless = module().submit("query", cbor({{"sql", kEndless}}));
    CHECK_FALSE(module().wait(endless, 50ms));
    module().cancel(endless + 1000);
    CHECK_FALSE(module().wait(endless, 50ms));
    module().cancel(endless);
    CHECK(module().wait(endless) == DirectAnswer{1, "SQLITE_INTERRUPT (9): interrupted"});
    CHECK(rows("SELECT 1") == Json{{1}});
}

TEST_CASE_FIXTURE(Sqlite, "a cancel at any moment ends the request and leaves the next one alone") {
    make_t();
    Json rows_in = Json::array();
    for (int i = 0; i < 20000; i++)
        rows_in.push_back({i, "x"});
    std::string batch = cbor({{"sql", "INSERT INTO t VALUES (?, ?)"}, {"rows", rows_in}});
    for (int delay_us : {0, 50, 200, 1000, 3000, 6000, 10000, 15000}) {
        for (std::string_view method : {"query", "batch"}) {
            auto request = module().submit(method, method == "query" ? cbor({{"sql", kEndless}}) : batch);
            std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
            module().cancel(request);
            auto answer = module().wait(request);
            REQUIRE(answer);
            CHECK((answer->ret == 0 || answer->ret == 17 || answer->bytes.starts_with("SQLITE_INTERRUPT (9)")));
            CHECK(rows("SELECT count(*) FROM t")[0][0] == (answer->ret == 0 ? 20000 : 0));
            CHECK(ok("exec", {{"sql", "BEGIN; DELETE FROM t; COMMIT"}})["changes"] == (answer->ret == 0 ? 20000 : 0));
        }
    }
}

TEST_CASE_FIXTURE(Closed, "a wait for another process's lock ends in time, or when cancelled") {
    TemporaryFolder folder;
    create({{"path", folder.file()}, {"busy_timeout_ms", 100}});
    exec("CREATE TABLE t (a)");
    exec(("ATTACH '" + folder.file() + "' AS other; BEGIN; INSERT INTO t VALUES (1)").c_str());
    Json write = {{"sql", "INSERT INTO other.t VALUES (1)"}}; // a second connection to the same file
    CHECK(error("exec", write).starts_with("SQLITE_BUSY (5): "));
    module().destroy();
    create({{"path", folder.file()}, {"busy_timeout_ms", 3600000}});
    exec(("ATTACH '" + folder.file() + "' AS other; BEGIN; INSERT INTO t VALUES (1)").c_str());
    berth_request waiting = module().submit("exec", cbor(write));
    CHECK_FALSE(module().wait(waiting, 50ms));
    module().cancel(waiting);
    CHECK(module().wait(waiting) == DirectAnswer{1, "SQLITE_INTERRUPT (9): interrupted"});
}

TEST_CASE_FIXTURE(Sqlite, "hostile requests are errors, not allocations or deep stacks") {
    for (const char *method : {"exec", "query", "batch"}) {
        CHECK(error_of(method, std::string("\x9b\0\0\0\xff\xff\xff\xff\xff", 9)).find("not a CBOR map") !=
              std::string::npos);
        CHECK(error_of(method, std::string(1 << 20, '\x81')).find("nested") != std::string::npos);
        CHECK(error_of(method, std::string("\xbf") + std::string(1 << 20, '\x9f')).find("nested") != std::string::npos);
        CHECK(error_of(method, "") == std::string(method) + ": not a CBOR map: it is empty");
    }
}
