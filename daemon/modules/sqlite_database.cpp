// Cancelling: sqlite3_interrupt is forgotten when no statement runs just then, as between two rows of a batch or before
// the first step, so the progress handler asks the request's own switch too. A wait for another process's lock is
// ours (the busy handler), since SQLite's own sleeps through an interrupt.
#include "sqlite_database.h"

#include "sqlite_errors.h"

#include <algorithm>

namespace berth::sqlite {
namespace {

constexpr int kStepsBetweenLooks = 1000;
constexpr int kLongestLockWaitMs = 50;

bool is_internal(const char *table) { return table && sqlite3_strnicmp(table, "sqlite_", 7) == 0; }

} // namespace

Result<std::unique_ptr<Database>> Database::open(const Config &config, Changes::Sink changed) {
    std::unique_ptr<Database> database(new Database);
    sqlite3 *db = nullptr;
    int access = config.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int code = sqlite3_open_v2(config.path.c_str(), &db, access | SQLITE_OPEN_FULLMUTEX, nullptr);
    database->db_.reset(db);
    if (code != SQLITE_OK)
        return Error{1, db ? error_text(db) : error_text(code, sqlite3_errstr(code))};
    sqlite3_extended_result_codes(db, 1);
    if (Failure failure = database->check_readable())
        return *failure;
    database->changes_ = std::make_unique<Changes>(db, std::move(changed));
    database->install_callbacks(config);
    return database;
}

// sqlite3_open_v2 does not read the file: one that is no database would go unnoticed until its first statement. A lock
// held by somebody else is no reason to fail.
Failure Database::check_readable() {
    int code = sqlite3_exec(db_.get(), "PRAGMA schema_version", nullptr, nullptr, nullptr) & 0xff;
    return code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED ? std::nullopt : failure();
}

void Database::install_callbacks(const Config &config) {
    busy_timeout_ = std::chrono::milliseconds(config.busy_timeout_ms);
    auto progress = [](void *self) -> int { return static_cast<Database *>(self)->requests_.cancelled(); };
    auto busy = [](void *self, int tries) -> int { return static_cast<Database *>(self)->wait_for_lock(tries); };
    auto authorize = [](void *self, int action, const char *first, const char *second, const char *, const char *) {
        return static_cast<Database *>(self)->note_action(action, first, second);
    };
    sqlite3_progress_handler(db_.get(), kStepsBetweenLooks, progress, this);
    sqlite3_busy_handler(db_.get(), busy, this);
    sqlite3_set_authorizer(db_.get(), authorize, this);
}

// The authorizer forbids nothing: it is how SQLite tells what a statement is about to be.
int Database::note_action(int action, const char *first, const char *second) {
    if (action == SQLITE_SAVEPOINT)
        noted_savepoint_ = {first, second};
    if (action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE)
        noted_write_ = noted_write_ || !is_internal(first);
    return SQLITE_OK;
}

bool Database::wait_for_lock(int tries) {
    auto now = std::chrono::steady_clock::now();
    if (tries == 0)
        busy_since_ = now;
    auto left = busy_timeout_ - std::chrono::duration_cast<std::chrono::milliseconds>(now - busy_since_);
    if (left.count() <= 0)
        return false;
    return requests_.wait_for(std::min(left, std::chrono::milliseconds(std::min(1 + 4 * tries, kLongestLockWaitMs))));
}

Failure Database::failure() const {
    if (requests_.cancelled())
        return Error{1, error_text(SQLITE_INTERRUPT, sqlite3_errstr(SQLITE_INTERRUPT))};
    return Error{1, error_text(db_.get())};
}

Result<Statement> Database::prepare(std::string_view &sql) {
    sqlite3_stmt *handle = nullptr;
    const char *rest = nullptr;
    noted_savepoint_ = {};
    noted_write_ = false;
    int code = sqlite3_prepare_v2(db_.get(), sql.data(), static_cast<int>(sql.size()), &handle, &rest);
    Statement statement{decltype(Statement::handle)(handle), noted_savepoint_, noted_write_};
    if (code != SQLITE_OK)
        return *failure();
    sql.remove_prefix(static_cast<size_t>(rest - sql.data()));
    return statement;
}

bool Database::nothing_left(std::string_view sql) {
    while (!sql.empty()) {
        size_t before = sql.size();
        Result<Statement> next = prepare(sql);
        if (!next || next->handle)
            return false;
        if (sql.size() == before)
            return true;
    }
    return true;
}

Failure Database::run(const Statement &statement, const Row &row, int64_t &changes) {
    sqlite3_stmt *handle = statement.handle.get();
    if (requests_.cancelled())
        return failure();
    Failure failed;
    int code = SQLITE_ROW;
    sqlite3_int64 total = sqlite3_total_changes64(db_.get());
    changes_->before_statement();
    while (!failed && (code = sqlite3_step(handle)) == SQLITE_ROW)
        failed = row ? row(handle) : std::nullopt;
    if (!failed && code != SQLITE_DONE)
        failed = failure();
    code = sqlite3_reset(handle);
    if (!failed && code != SQLITE_OK)
        failed = failure();
    if (!failed && sqlite3_total_changes64(db_.get()) != total)
        changes += sqlite3_changes64(db_.get());
    changes_->after_statement(statement.savepoint, failed.has_value());
    return failed;
}

Failure Database::command(std::string_view sql) {
    int64_t changes = 0;
    Result<Statement> statement = prepare(sql);
    return statement ? run(*statement, nullptr, changes) : Failure(statement.error());
}

Failure Database::atomically(const std::function<Failure()> &work) {
    if (Failure failed = command("SAVEPOINT berth"))
        return failed;
    try {
        Failure failed = work();
        if (!failed)
            failed = command("RELEASE berth");
        if (failed)
            undo();
        return failed;
    } catch (...) { // out of memory
        undo();
        throw;
    }
}

// What SQLite itself rolled back whole (an interrupt, a full disk) has no savepoint left. The request counts as ended:
// a cancel that came now would only leave its changes behind.
void Database::undo() {
    requests_.end();
    if (sqlite3_get_autocommit(db_.get()) || command("ROLLBACK TO berth"))
        return;
    command("RELEASE berth");
}

} // namespace berth::sqlite
