#include "sqlite_errors.h"

#include "cbor_check.h"

namespace berth::sqlite {
namespace {

struct Name {
    int code;
    std::string_view name;
};

#define NAME(code)                                                                                                     \
    { code, #code }
constexpr Name kNames[] = {
    NAME(SQLITE_ERROR),
    NAME(SQLITE_INTERNAL),
    NAME(SQLITE_PERM),
    NAME(SQLITE_ABORT),
    NAME(SQLITE_BUSY),
    NAME(SQLITE_LOCKED),
    NAME(SQLITE_NOMEM),
    NAME(SQLITE_READONLY),
    NAME(SQLITE_INTERRUPT),
    NAME(SQLITE_IOERR),
    NAME(SQLITE_CORRUPT),
    NAME(SQLITE_NOTFOUND),
    NAME(SQLITE_FULL),
    NAME(SQLITE_CANTOPEN),
    NAME(SQLITE_PROTOCOL),
    NAME(SQLITE_EMPTY),
    NAME(SQLITE_SCHEMA),
    NAME(SQLITE_TOOBIG),
    NAME(SQLITE_CONSTRAINT),
    NAME(SQLITE_MISMATCH),
    NAME(SQLITE_MISUSE),
    NAME(SQLITE_NOLFS),
    NAME(SQLITE_AUTH),
    NAME(SQLITE_FORMAT),
    NAME(SQLITE_RANGE),
    NAME(SQLITE_NOTADB),
    NAME(SQLITE_NOTICE),
    NAME(SQLITE_WARNING),
    NAME(SQLITE_ERROR_MISSING_COLLSEQ),
    NAME(SQLITE_ERROR_RETRY),
    NAME(SQLITE_ERROR_SNAPSHOT),
    NAME(SQLITE_IOERR_READ),
    NAME(SQLITE_IOERR_SHORT_READ),
    NAME(SQLITE_IOERR_WRITE),
    NAME(SQLITE_IOERR_FSYNC),
    NAME(SQLITE_IOERR_DIR_FSYNC),
    NAME(SQLITE_IOERR_TRUNCATE),
    NAME(SQLITE_IOERR_FSTAT),
    NAME(SQLITE_IOERR_UNLOCK),
    NAME(SQLITE_IOERR_RDLOCK),
    NAME(SQLITE_IOERR_DELETE),
    NAME(SQLITE_IOERR_BLOCKED),
    NAME(SQLITE_IOERR_NOMEM),
    NAME(SQLITE_IOERR_ACCESS),
    NAME(SQLITE_IOERR_CHECKRESERVEDLOCK),
    NAME(SQLITE_IOERR_LOCK),
    NAME(SQLITE_IOERR_CLOSE),
    NAME(SQLITE_IOERR_DIR_CLOSE),
    NAME(SQLITE_IOERR_SHMOPEN),
    NAME(SQLITE_IOERR_SHMSIZE),
    NAME(SQLITE_IOERR_SHMLOCK),
    NAME(SQLITE_IOERR_SHMMAP),
    NAME(SQLITE_IOERR_SEEK),
    NAME(SQLITE_IOERR_DELETE_NOENT),
    NAME(SQLITE_IOERR_MMAP),
    NAME(SQLITE_IOERR_GETTEMPPATH),
    NAME(SQLITE_IOERR_CONVPATH),
    NAME(SQLITE_IOERR_VNODE),
    NAME(SQLITE_IOERR_AUTH),
    NAME(SQLITE_IOERR_BEGIN_ATOMIC),
    NAME(SQLITE_IOERR_COMMIT_ATOMIC),
    NAME(SQLITE_IOERR_ROLLBACK_ATOMIC),
    NAME(SQLITE_IOERR_DATA),
    NAME(SQLITE_IOERR_CORRUPTFS),
    NAME(SQLITE_LOCKED_SHAREDCACHE),
    NAME(SQLITE_LOCKED_VTAB),
    NAME(SQLITE_BUSY_RECOVERY),
    NAME(SQLITE_BUSY_SNAPSHOT),
    NAME(SQLITE_BUSY_TIMEOUT),
    NAME(SQLITE_CANTOPEN_NOTEMPDIR),
    NAME(SQLITE_CANTOPEN_ISDIR),
    NAME(SQLITE_CANTOPEN_FULLPATH),
    NAME(SQLITE_CANTOPEN_CONVPATH),
    NAME(SQLITE_CANTOPEN_DIRTYWAL),
    NAME(SQLITE_CANTOPEN_SYMLINK),
    NAME(SQLITE_CORRUPT_VTAB),
    NAME(SQLITE_CORRUPT_SEQUENCE),
    NAME(SQLITE_CORRUPT_INDEX),
    NAME(SQLITE_READONLY_RECOVERY),
    NAME(SQLITE_READONLY_CANTLOCK),
    NAME(SQLITE_READONLY_ROLLBACK),
    NAME(SQLITE_READONLY_DBMOVED),
    NAME(SQLITE_READONLY_CANTINIT),
    NAME(SQLITE_READONLY_DIRECTORY),
    NAME(SQLITE_ABORT_ROLLBACK),
    NAME(SQLITE_CONSTRAINT_CHECK),
    NAME(SQLITE_CONSTRAINT_COMMITHOOK),
    NAME(SQLITE_CONSTRAINT_FOREIGNKEY),
    NAME(SQLITE_CONSTRAINT_FUNCTION),
    NAME(SQLITE_CONSTRAINT_NOTNULL),
    NAME(SQLITE_CONSTRAINT_PRIMARYKEY),
    NAME(SQLITE_CONSTRAINT_TRIGGER),
    NAME(SQLITE_CONSTRAINT_UNIQUE),
    NAME(SQLITE_CONSTRAINT_VTAB),
    NAME(SQLITE_CONSTRAINT_ROWID),
    NAME(SQLITE_CONSTRAINT_PINNED),
    NAME(SQLITE_CONSTRAINT_DATATYPE),
    NAME(SQLITE_NOTICE_RECOVER_WAL),
    NAME(SQLITE_NOTICE_RECOVER_ROLLBACK),
    NAME(SQLITE_WARNING_AUTOINDEX),
    NAME(SQLITE_AUTH_USER),
};
#undef NAME

std::string_view find_name(int code) {
    for (const Name &known : kNames)
        if (known.code == code)
            return known.name;
    return {};
}

// A reply's text is UTF-8; SQLite repeats parts of names and statements that need not be.
std::string as_utf8(std::string text) {
    if (!berth_utf8_valid(reinterpret_cast<const uint8_t *>(text.data()), text.size()))
        for (char &c : text)
            c = static_cast<unsigned char>(c) < 0x80 ? c : '?';
    return text;
}

} // namespace

std::string_view code_name(int code) {
    if (std::string_view name = find_name(code); !name.empty())
        return name;
    std::string_view primary = find_name(code & 0xff);
    return primary.empty() ? "SQLITE_ERROR" : primary;
}

std::string error_text(int code, std::string_view text) {
    return as_utf8(std::string(code_name(code)) + " (" + std::to_string(code) + "): " + std::string(text));
}

std::string error_text(sqlite3 *db) { return error_text(sqlite3_extended_errcode(db), sqlite3_errmsg(db)); }

} // namespace berth::sqlite
