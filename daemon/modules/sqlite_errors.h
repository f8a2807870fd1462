// SQLite's errors as text: `SQLITE_CONSTRAINT_UNIQUE (2067): UNIQUE constraint failed: t.a`.
#pragma once

#include <sqlite3.h>
#include <string>
#include <string_view>

namespace berth::sqlite {

// Of an extended code; one that has no name here gets its primary code's.
std::string_view code_name(int code);

std::string error_text(int code, std::string_view text);
std::string error_text(sqlite3 *db); // of the last call that failed

} // namespace berth::sqlite
