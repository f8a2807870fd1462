// One open database: statements run one at a time on the library thread, and can be cut short from another.
#pragma once

#include "sqlite_cancel.h"
#include "sqlite_changes.h"
#include "sqlite_values.h"

#include <memory>

namespace berth::sqlite {

struct Config {
    std::string path = ":memory:";
    bool read_only = false;
    int busy_timeout_ms = 5000;
};

struct StatementFinalize {
    void operator()(sqlite3_stmt *statement) const { sqlite3_finalize(statement); }
};

struct Statement {
    std::unique_ptr<sqlite3_stmt, StatementFinalize> handle; // NULL: nothing but blanks and comments
    SavepointStep savepoint;
    bool writes = false; // it is an INSERT, UPDATE or DELETE
};

class Database {
  public:
    using Row = std::function<Failure(sqlite3_stmt *)>;

    static Result<std::unique_ptr<Database>> open(const Config &config, Changes::Sink changed);

    CancelSwitch &requests() { return requests_; }
    void cancel(berth_request request) { requests_.cancel(request, db_.get()); }

    // Takes the first statement off the text.
    Result<Statement> prepare(std::string_view &sql);
    // Whether nothing but blanks and comments is left.
    bool nothing_left(std::string_view sql);

    // Runs a statement to its end, or until `row` fails; adds the rows that it changed itself (not its triggers).
    Failure run(const Statement &statement, const Row &row, int64_t &changes);

    // Runs `work` as one: all of it, or, when it fails, nothing.
    Failure atomically(const std::function<Failure()> &work);

    int64_t last_insert_rowid() const { return sqlite3_last_insert_rowid(db_.get()); }

  private:
    struct Close {
        void operator()(sqlite3 *db) const { sqlite3_close_v2(db); }
    };

    Database() = default;
    Failure check_readable();
    void install_callbacks(const Config &config);
    int note_action(int action, const char *first, const char *second);
    bool wait_for_lock(int tries);
    Failure command(std::string_view sql);
    void undo();
    Failure failure() const;

    std::unique_ptr<Changes> changes_;
    CancelSwitch requests_;
    std::chrono::milliseconds busy_timeout_{0};
    std::chrono::steady_clock::time_point busy_since_;
    SavepointStep noted_savepoint_;
    bool noted_write_ = false;
    std::unique_ptr<sqlite3, Close> db_; // last, so closed first: closing still calls the hooks
};

} // namespace berth::sqlite
