// Which tables a transaction has changed, and in how many rows; told when, and only if, it is committed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <sqlite3.h>
#include <string>
#include <string_view>
#include <vector>

namespace berth::sqlite {

// SAVEPOINT, RELEASE or ROLLBACK TO, as the parser saw it in a statement.
struct SavepointStep {
    std::string operation; // "BEGIN", "RELEASE" or "ROLLBACK"; empty: the statement is none of them
    std::string name;
};

class Changes {
  public:
    using Sink = std::function<void(const std::string &table, int64_t changes)>;

    Changes(sqlite3 *db, Sink sink);
    Changes(const Changes &) = delete;

    void before_statement();
    void after_statement(const SavepointStep &step, bool failed);

  private:
    struct Count {
        int64_t told = 0; // by the update hook
        int64_t seen = 0; // by the preupdate hook
    };
    using Counts = std::map<std::string, Count, std::less<>>;
    struct Savepoint {
        std::string name;
        Counts counts;
    };

    Count &count(const char *schema, const char *table);
    void follow(const SavepointStep &step);
    void rolled_back();
    void publish();

    sqlite3 *db_;
    Sink sink_;
    Counts counts_;
    Counts before_;
    bool rolled_back_ = false;
    std::vector<Savepoint> savepoints_;
    std::string key_;
};

} // namespace berth::sqlite
