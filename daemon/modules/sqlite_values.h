// CBOR values into SQLite's parameters, and SQLite's columns into CBOR.
//
//   CBOR                    SQLite       and back
//   integer (signed 64 bit) INTEGER      integer
//   boolean                 INTEGER 0/1  integer
//   float of any width      REAL         double; not-a-number becomes NULL, as SQLite has it
//   text                    TEXT         text; a byte string where it is not UTF-8
//   byte string             BLOB         byte string
//   null                    NULL         null
#pragma once

#include "base/result.h"
#include "cbor_writer.h"

#include <optional>
#include <sqlite3.h>

namespace berth::sqlite {

using Failure = std::optional<Error>; // none: it went well

// Binds an array by position or a map by name (`name` for :name, @name and $name); NULL is no values. Every parameter
// must be given, and nothing else. The values must outlive the statement's run. A failure's text is to be put behind
// the name of what was bound: `[2]: not a value …`, `: 1 given, the statement takes 2`.
Failure bind(sqlite3_stmt *statement, cbor_item_t *values);

void write_row(CborWriter &out, sqlite3_stmt *statement);
void write_column_names(CborWriter &out, sqlite3_stmt *statement);

} // namespace berth::sqlite
