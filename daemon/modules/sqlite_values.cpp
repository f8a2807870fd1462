#include "sqlite_values.h"

#include "cbor_args.h"
#include "cbor_check.h"
#include "sqlite_errors.h"

namespace berth::sqlite {
namespace {

constexpr size_t kNameSize = 256; // longer names of parameters are not found
constexpr int kUnsupported = -1;
constexpr int kOutOfRange = -2;

const char *not_null(const unsigned char *data) { return data ? reinterpret_cast<const char *>(data) : ""; }

int bind_integer(sqlite3_stmt *statement, int at, cbor_item_t *value) {
    uint64_t magnitude = cbor_get_int(value);
    if (magnitude > INT64_MAX)
        return kOutOfRange;
    auto number = static_cast<int64_t>(magnitude);
    return sqlite3_bind_int64(statement, at, cbor_isa_negint(value) ? -1 - number : number);
}

int bind_simple(sqlite3_stmt *statement, int at, cbor_item_t *value) {
    if (!cbor_float_ctrl_is_ctrl(value))
        return sqlite3_bind_double(statement, at, cbor_float_get_float(value));
    if (cbor_is_null(value))
        return sqlite3_bind_null(statement, at);
    return cbor_is_bool(value) ? sqlite3_bind_int(statement, at, cbor_get_bool(value)) : kUnsupported;
}

int bind_value(sqlite3_stmt *statement, int at, cbor_item_t *value) {
    switch (cbor_typeof(value)) {
    case CBOR_TYPE_UINT:
    case CBOR_TYPE_NEGINT:
        return bind_integer(statement, at, value);
    case CBOR_TYPE_BYTESTRING:
        return sqlite3_bind_blob64(statement, at, not_null(cbor_bytestring_handle(value)),
                                   cbor_bytestring_length(value), SQLITE_STATIC);
    case CBOR_TYPE_STRING:
        return sqlite3_bind_text64(statement, at, not_null(cbor_string_handle(value)), cbor_string_length(value),
                                   SQLITE_STATIC, SQLITE_UTF8);
    case CBOR_TYPE_FLOAT_CTRL:
        return bind_simple(statement, at, value);
    default:
        return kUnsupported;
    }
}

Failure bind_one(sqlite3_stmt *statement, int at, cbor_item_t *value) {
    int code = bind_value(statement, at, value);
    if (code == SQLITE_OK)
        return std::nullopt;
    if (code == kUnsupported)
        return Error{1, ": not a value that SQLite can hold"};
    if (code == kOutOfRange)
        return Error{1, ": an integer beyond 64 bits with sign"};
    return Error{1, ": " + error_text(sqlite3_db_handle(statement))};
}

Failure check_count(sqlite3_stmt *statement, size_t given) {
    auto wanted = static_cast<size_t>(sqlite3_bind_parameter_count(statement));
    if (given == wanted)
        return std::nullopt;
    return Error{1, ": " + std::to_string(given) + " given, the statement takes " + std::to_string(wanted)};
}

Failure bind_array(sqlite3_stmt *statement, cbor_item_t *values) {
    if (Failure failure = check_count(statement, cbor_array_size(values)))
        return failure;
    for (size_t i = 0; i < cbor_array_size(values); i++)
        if (Failure failure = bind_one(statement, static_cast<int>(i + 1), cbor_array_handle(values)[i]))
            return Error{1, std::string("[").append(std::to_string(i)).append("]") + failure->text};
    return std::nullopt;
}

// One name may stand with several prefixes, as several parameters.
Failure bind_named(sqlite3_stmt *statement, const std::string &name, cbor_item_t *value, std::vector<bool> &bound) {
    bool found = false;
    for (char prefix : {':', '@', '$'}) {
        int at = sqlite3_bind_parameter_index(statement, (prefix + name).c_str());
        if (at == 0)
            continue;
        if (bound[static_cast<size_t>(at)])
            return Error{1, ": given twice"};
        if (Failure failure = bind_one(statement, at, value))
            return failure;
        found = bound[static_cast<size_t>(at)] = true;
    }
    return found ? std::nullopt : Failure(Error{1, ": no such parameter"});
}

Failure check_all_bound(sqlite3_stmt *statement, const std::vector<bool> &bound) {
    for (int at = 1; at < static_cast<int>(bound.size()); at++) {
        const char *name = sqlite3_bind_parameter_name(statement, at);
        if (!bound[static_cast<size_t>(at)])
            return Error{1, ": no value for " + (name ? name : std::string("?").append(std::to_string(at)))};
    }
    return std::nullopt;
}

Failure bind_map(sqlite3_stmt *statement, cbor_item_t *values) {
    std::vector<bool> bound(static_cast<size_t>(sqlite3_bind_parameter_count(statement)) + 1);
    for (size_t i = 0; i < cbor_map_size(values); i++) {
        const cbor_pair &pair = cbor_map_handle(values)[i];
        if (!cbor_isa_string(pair.key))
            return Error{1, ": a name that is not text"};
        char name[kNameSize];
        berth_args_why(name, sizeof name, cbor_string_handle(pair.key), cbor_string_length(pair.key));
        bool exact = std::strlen(name) == cbor_string_length(pair.key); // not cut, no zero byte
        Failure failure = exact ? bind_named(statement, name, pair.value, bound) : Error{1, ": no such parameter"};
        if (failure)
            return Error{1, "[\"" + std::string(name) + "\"]" + failure->text};
    }
    return check_all_bound(statement, bound);
}

void write_text(CborWriter &out, std::string_view text) {
    bool valid = berth_utf8_valid(reinterpret_cast<const uint8_t *>(text.data()), text.size());
    valid ? out.text(text) : out.blob(text);
}

std::string_view column_bytes(sqlite3_stmt *statement, int column, const void *data) {
    return {data ? static_cast<const char *>(data) : "", static_cast<size_t>(sqlite3_column_bytes(statement, column))};
}

void write_value(CborWriter &out, sqlite3_stmt *statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return out.integer(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
        return out.real(sqlite3_column_double(statement, column));
    case SQLITE_TEXT:
        return write_text(out, column_bytes(statement, column, sqlite3_column_text(statement, column)));
    case SQLITE_BLOB:
        return out.blob(column_bytes(statement, column, sqlite3_column_blob(statement, column)));
    default:
        return out.null();
    }
}

} // namespace

Failure bind(sqlite3_stmt *statement, cbor_item_t *values) {
    if (!values)
        return check_count(statement, 0);
    if (cbor_isa_array(values))
        return bind_array(statement, values);
    if (cbor_isa_map(values))
        return bind_map(statement, values);
    return Error{1, ": not an array or a map"};
}

void write_row(CborWriter &out, sqlite3_stmt *statement) {
    int columns = sqlite3_column_count(statement);
    out.array(static_cast<uint64_t>(columns));
    for (int i = 0; i < columns && !out.full(); i++)
        write_value(out, statement, i);
}

void write_column_names(CborWriter &out, sqlite3_stmt *statement) {
    int columns = sqlite3_column_count(statement);
    out.array(static_cast<uint64_t>(columns));
    for (int i = 0; i < columns; i++)
        write_text(out, not_null(reinterpret_cast<const unsigned char *>(sqlite3_column_name(statement, i))));
}

} // namespace berth::sqlite
