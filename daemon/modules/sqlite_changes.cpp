// The update hook counts rows. It says nothing of tables WITHOUT ROWID, nor of a DELETE without WHERE, which SQLite
// does by dropping pages; a preupdate hook sees the first, and by being there turns the second into row by row. It
// counts a replaced row twice, so its count stands only where the update hook had none.
//
// No hook tells of a savepoint that is rolled back, nor of a failed statement whose changes are undone while its
// transaction lives on: so counts are kept as they were at each savepoint and before each statement.
#include "sqlite_changes.h"

#ifndef BERTH_SQLITE_PREUPDATE
#define BERTH_SQLITE_PREUPDATE 0
#endif

namespace berth::sqlite {

Changes::Changes(sqlite3 *db, Sink sink) : db_(db), sink_(std::move(sink)) {
    auto update = [](void *self, int, const char *schema, const char *table, sqlite3_int64) {
        static_cast<Changes *>(self)->count(schema, table).told++;
    };
    auto rollback = [](void *self) { static_cast<Changes *>(self)->rolled_back(); };
    sqlite3_update_hook(db_, update, this);
    sqlite3_rollback_hook(db_, rollback, this);
#if BERTH_SQLITE_PREUPDATE
    auto preupdate = [](void *self, sqlite3 *, int, const char *schema, const char *table, sqlite3_int64,
                        sqlite3_int64) { static_cast<Changes *>(self)->count(schema, table).seen++; };
    sqlite3_preupdate_hook(db_, preupdate, this);
#endif
}

// `t` in the main database, `schema.t` elsewhere. The key is kept to spare an allocation for every row.
Changes::Count &Changes::count(const char *schema, const char *table) {
    key_.clear();
    if (std::string_view(schema) != "main")
        key_.append(schema).append(".");
    key_.append(table);
    auto found = counts_.find(key_);
    return found != counts_.end() ? found->second : counts_[key_];
}

void Changes::before_statement() {
    before_ = counts_;
    rolled_back_ = false;
}

void Changes::after_statement(const SavepointStep &step, bool failed) {
    bool undone = failed && sqlite3_changes64(db_) == 0; // else INSERT OR FAIL, which keeps what it did
    if (undone && !rolled_back_)
        counts_ = before_;
    if (!failed)
        follow(step);
    if (sqlite3_get_autocommit(db_))
        publish();
}

// The latest savepoint of a name is meant; RELEASE forgets it and all after it, ROLLBACK TO keeps it.
void Changes::follow(const SavepointStep &step) {
    if (step.operation.empty())
        return;
    if (step.operation == "BEGIN") {
        savepoints_.push_back({step.name, counts_});
        return;
    }
    size_t at = savepoints_.size();
    while (at > 0 && sqlite3_stricmp(savepoints_[at - 1].name.c_str(), step.name.c_str()) != 0)
        at--;
    if (at == 0)
        return;
    bool rollback = step.operation == "ROLLBACK";
    if (rollback)
        counts_ = savepoints_[at - 1].counts;
    savepoints_.resize(rollback ? at : at - 1);
}

void Changes::rolled_back() {
    rolled_back_ = true;
    counts_.clear();
    savepoints_.clear();
}

void Changes::publish() {
    Counts committed = std::move(counts_);
    counts_.clear();
    savepoints_.clear();
    for (const auto &[table, count] : committed)
        sink_(table, count.told > 0 ? count.told : count.seen);
}

} // namespace berth::sqlite
