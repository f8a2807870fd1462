// A context is a database. Its configuration, a CBOR map or nothing: {"path": tstr (":memory:"), "read_only": bool
// (false), "busy_timeout_ms": uint (5000)}. Requests and replies are CBOR maps:
//
//   exec     {"sql", ? "params"}   {"changes": int, "last_insert_rowid": int}. Statements one after the other, up to
//                                  the first that fails; params only with a single one.
//   query    {"sql", ? "params"}   {"columns": [tstr], "rows": [[value]], "changes": int}. One statement.
//   batch    {"sql", "rows": [..]} {"changes": int}. One statement, once for each element of rows, all or nothing.
//   version  anything; static      SQLite's version, as text
//
// params, and each of rows: an array by position or a map by name; the values are listed in sqlite_values.h.
// What a commit changed is told by an event `changed` for each table: {"table": tstr, "changes": int}.
// Errors of SQLite's: `SQLITE_CONSTRAINT_UNIQUE (2067): UNIQUE constraint failed: t.a`. Cancelled: SQLITE_INTERRUPT.
#include "cbor_args.h"
#include "sqlite_database.h"
#include "sqlite_errors.h"

namespace berth::sqlite {
namespace {

constexpr uint64_t kMostBusyMs = 24u * 3600 * 1000;

const berth_worker *worker;

class Args {
  public:
    Args(const char *method, const uint8_t *data, size_t len, const char *const *keys)
        : open_(berth_args_open(&args_, method, data, len, keys)) {}
    ~Args() { berth_args_close(&args_); }
    Args(const Args &) = delete;

    explicit operator bool() const { return open_; }
    berth_args *get() { return &args_; }
    cbor_item_t *find(const char *key) const { return berth_args_find(&args_, key); }
    Error error() const { return Error{1, args_.error}; }
    Error error(const std::string &behind_method) const { return Error{1, args_.method + (": " + behind_method)}; }

    // Text that goes to SQLite as a C string, which a zero byte would cut.
    bool string(const char *key, std::string_view &out) {
        berth_span span;
        if (!berth_args_text(&args_, key, &span))
            return false;
        out = {reinterpret_cast<const char *>(span.data), span.len};
        return out.find('\0') == out.npos || berth_args_wrong(&args_, key, "holds a zero byte");
    }

  private:
    berth_args args_;
    bool open_;
};

using Reply = Result<CborWriter>;

Result<Statement> single(Database &db, const Args &args, std::string_view sql) {
    Result<Statement> statement = db.prepare(sql);
    if (statement && !statement->handle)
        return args.error("key \"sql\": no statement");
    if (statement && !db.nothing_left(sql))
        return args.error("key \"sql\": more than one statement");
    return statement;
}

Result<Statement> single_bound(Database &db, const Args &args, std::string_view sql) {
    Result<Statement> statement = single(db, args, sql);
    if (statement)
        if (Failure failed = bind(statement->handle.get(), args.find("params")))
            return args.error("params" + failed->text);
    return statement;
}

Failure run_all(Database &db, const Args &args, std::string_view sql, int64_t &changes) {
    while (!sql.empty()) {
        Result<Statement> statement = db.prepare(sql);
        if (!statement)
            return statement.error();
        if (!statement->handle)
            continue;
        if (Failure failed = bind(statement->handle.get(), nullptr))
            return args.error("params" + failed->text);
        if (Failure failed = db.run(*statement, nullptr, changes))
            return failed;
    }
    return std::nullopt;
}

Failure run_single(Database &db, const Args &args, std::string_view sql, int64_t &changes) {
    Result<Statement> statement = single_bound(db, args, sql);
    return statement ? db.run(*statement, nullptr, changes) : Failure(statement.error());
}

Reply exec(Database &db, Args &args) {
    std::string_view sql;
    int64_t changes = 0;
    if (!args.string("sql", sql))
        return args.error();
    bool bound = args.find("params") != nullptr;
    if (Failure failed = bound ? run_single(db, args, sql, changes) : run_all(db, args, sql, changes))
        return *failed;
    CborWriter out;
    out.map(2);
    out.text("changes");
    out.integer(changes);
    out.text("last_insert_rowid");
    out.integer(db.last_insert_rowid());
    return out;
}

// With RETURNING, a reply that proves too long must not leave the changes made.
Failure run_for_rows(Database &db, const Statement &statement, const Database::Row &row, int64_t &changes) {
    auto work = [&] { return db.run(statement, row, changes); };
    bool returning = statement.writes && sqlite3_column_count(statement.handle.get()) > 0;
    return returning ? db.atomically(work) : work();
}

Reply query(Database &db, Args &args) {
    std::string_view sql;
    if (!args.string("sql", sql))
        return args.error();
    Result<Statement> statement = single_bound(db, args, sql);
    if (!statement)
        return statement.error();
    CborWriter out;
    out.map(3);
    out.text("columns");
    write_column_names(out, statement->handle.get());
    out.text("rows");
    size_t start = out.size();
    uint64_t rows = 0;
    auto row = [&](sqlite3_stmt *handle) -> Failure {
        write_row(out, handle);
        if (out.full())
            return args.error("the reply would pass 16 MiB after " + std::to_string(rows) + " rows");
        rows++;
        return std::nullopt;
    };
    int64_t changes = 0;
    if (Failure failed = run_for_rows(db, *statement, row, changes))
        return *failed;
    out.make_array(start, rows);
    out.text("changes");
    out.integer(changes);
    return out;
}

Failure run_rows(Database &db, const Args &args, const Statement &statement, cbor_item_t *rows, int64_t &changes) {
    for (size_t i = 0; i < cbor_array_size(rows); i++) {
        std::string where = "rows[" + std::to_string(i) + "]";
        if (Failure failed = bind(statement.handle.get(), cbor_array_handle(rows)[i]))
            return args.error(where + failed->text);
        if (Failure failed = db.run(statement, nullptr, changes))
            return Error{1, failed->text + " (" + where + ")"};
    }
    return std::nullopt;
}

Reply batch(Database &db, Args &args) {
    std::string_view sql;
    if (!args.string("sql", sql))
        return args.error();
    cbor_item_t *rows = args.find("rows");
    if (!rows || !cbor_isa_array(rows))
        return args.error(rows ? "key \"rows\": not an array" : "key \"rows\": missing");
    Result<Statement> statement = single(db, args, sql);
    if (!statement)
        return statement.error();
    int64_t changes = 0;
    auto work = [&] { return run_rows(db, args, *statement, rows, changes); };
    if (Failure failed = db.atomically(work))
        return *failed;
    CborWriter out;
    out.map(1);
    out.text("changes");
    out.integer(changes);
    return out;
}

void tell_changed(const std::string &table, int64_t changes) {
    CborWriter out;
    out.map(2);
    out.text("table");
    out.text(table);
    out.text("changes");
    out.integer(changes);
    worker->emit("changed", out.bytes().data(), out.size());
}

struct Method {
    const char *name;
    const char *keys[3];
    Reply (*run)(Database &db, Args &args);
};

constexpr Method kMethods[] = {
    {"exec", {"sql", "params"}, exec}, {"query", {"sql", "params"}, query}, {"batch", {"sql", "rows"}, batch}};
constexpr uint32_t kVersion = std::size(kMethods);
constexpr berth_method kNames[] = {{"exec", 0}, {"query", 0}, {"batch", 0}, {"version", BERTH_METHOD_STATIC}};
static_assert(std::size(kNames) == kVersion + 1);

Reply run(Database *db, uint32_t method, const uint8_t *data, size_t len) {
    if (method == kVersion) {
        CborWriter out;
        out.text(sqlite3_libversion());
        return out;
    }
    if (method > kVersion || !db)
        return Error{1, "no such method"};
    Args args(kMethods[method].name, data, len, kMethods[method].keys);
    return args ? kMethods[method].run(*db, args) : Reply(args.error());
}

void answer(berth_request request, Reply reply) {
    if (reply)
        worker->reply(request, 0, reply->bytes().data(), reply->size());
    else
        worker->reply(request, 1, reply.error().text.data(), reply.error().text.size());
}

Reply run_caught(Database *db, uint32_t method, const uint8_t *data, size_t len) {
    try {
        return run(db, method, data, len);
    } catch (const std::exception &e) {
        return Error{1, e.what()};
    }
}

void handle(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    auto *db = static_cast<Database *>(instance);
    if (db)
        db->requests().begin(request);
    Reply reply = run_caught(db, method, data, len);
    if (db)
        db->requests().end();
    answer(request, std::move(reply));
}

void cancel(void *instance, berth_request request) {
    if (instance)
        static_cast<Database *>(instance)->cancel(request);
}

Result<Config> read_config(const uint8_t *data, size_t len) {
    static const char *const keys[] = {"path", "read_only", "busy_timeout_ms", nullptr};
    Config config;
    if (len == 0)
        return config;
    Args args("create", data, len, keys);
    std::string_view path = config.path;
    uint64_t busy = static_cast<uint64_t>(config.busy_timeout_ms);
    if (!args || (args.find("path") && !args.string("path", path)) ||
        (args.find("read_only") && !berth_args_bool(args.get(), "read_only", &config.read_only)) ||
        (args.find("busy_timeout_ms") && !berth_args_uint(args.get(), "busy_timeout_ms", kMostBusyMs, &busy)))
        return args.error();
    config.path = std::string(path);
    config.busy_timeout_ms = static_cast<int>(busy);
    return config;
}

Result<std::unique_ptr<Database>> open(const uint8_t *data, size_t len) {
    try {
        Result<Config> config = read_config(data, len);
        return config ? Database::open(*config, tell_changed) : config.error();
    } catch (const std::exception &e) {
        return Error{1, e.what()};
    }
}

int create(const uint8_t *config, size_t len, void **instance, char *why, size_t why_size) {
    Result<std::unique_ptr<Database>> db = open(config, len);
    if (db) {
        *instance = db->release();
        return 0;
    }
    berth_args_why(why, why_size, db.error().text.data(), db.error().text.size());
    return 1;
}

void destroy(void *instance) { delete static_cast<Database *>(instance); }

constexpr struct berth_module kModule = {.abi = BERTH_MODULE_ABI,
                                         .size = sizeof(struct berth_module),
                                         .name = "sqlite",
                                         .version = BERTH_VERSION,
                                         .flags = 0,
                                         .method_count = std::size(kNames),
                                         .methods = kNames,
                                         .create = create,
                                         .destroy = destroy,
                                         .handle = handle,
                                         .cancel = cancel};

} // namespace
} // namespace berth::sqlite

extern "C" __attribute__((visibility("default"))) const struct berth_module *berth_module(const berth_worker *worker) {
    berth::sqlite::worker = worker;
    return worker->abi == BERTH_MODULE_ABI ? &berth::sqlite::kModule : nullptr;
}
