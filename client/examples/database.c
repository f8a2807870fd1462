#include "database.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_TIMEOUT_MS = 60000, MOST_COLUMNS = 8 };

static void put(cbor_item_t *map, const char *key, cbor_item_t *value) {
    cbor_item_t *name = cbor_build_string(key);
    if (!cbor_map_add(map, (struct cbor_pair){.key = name, .value = value}))
        abort();
    cbor_decref(&name);
    cbor_decref(&value);
}

int database_open(struct database *database, berth_client client, const char *path) {
    cbor_item_t *map = cbor_new_definite_map(1);
    unsigned char *config;
    size_t room;
    struct berth_reply why;
    put(map, "path", cbor_build_string(path));
    size_t len = cbor_serialize_alloc(map, &config, &room);
    cbor_decref(&map);
    int ret = berth_open(client, "sqlite", config, len, NULL, &database->context, &why);
    free(config);
    if (ret != BERTH_RET_OK)
        fprintf(stderr, "sqlite cannot be opened: %s: %.*s\n", berth_ret_name(ret), (int)why.len, (const char *)why.data);
    berth_reply_free(&why);
    if (ret == BERTH_RET_OK)
        ret = berth_method(database->context, "exec", &database->exec);
    if (ret == BERTH_RET_OK)
        ret = berth_method(database->context, "query", &database->query);
    if (ret == BERTH_RET_OK)
        ret = berth_method(database->context, "batch", &database->batch);
    return ret;
}

unsigned char *database_request(const char *sql, cbor_item_t *rows, size_t *len) {
    cbor_item_t *map = cbor_new_definite_map(2);
    unsigned char *bytes = NULL;
    size_t room;
    put(map, "sql", cbor_build_string(sql));
    if (rows)
        put(map, "rows", rows);
    *len = cbor_serialize_alloc(map, &bytes, &room);
    cbor_decref(&map);
    return *len ? bytes : NULL;
}

cbor_item_t *database_call(const struct database *database, uint32_t method, const char *sql, cbor_item_t *rows) {
    struct berth_reply reply;
    struct cbor_load_result result;
    cbor_item_t *answer = NULL;
    size_t len;
    unsigned char *request = database_request(sql, rows, &len);
    int ret = berth_call(database->context, method, request, len, CALL_TIMEOUT_MS, &reply);
    free(request);
    if (ret == BERTH_RET_OK)
        answer = cbor_load(reply.data, reply.len, &result);
    else
        fprintf(stderr, "%s: %.*s\n", berth_ret_name(ret), (int)reply.len, (const char *)reply.data);
    berth_reply_free(&reply);
    return answer;
}

const cbor_item_t *cbor_at(const cbor_item_t *map, const char *key) {
    if (!map || !cbor_isa_map(map))
        return NULL;
    for (size_t i = 0; i < cbor_map_size(map); i++) {
        struct cbor_pair pair = cbor_map_handle(map)[i];
        if (cbor_isa_string(pair.key) && cbor_string_length(pair.key) == strlen(key) &&
            memcmp(cbor_string_handle(pair.key), key, strlen(key)) == 0)
            return pair.value;
    }
    return NULL;
}

/* --- a table ----------------------------------------------------------------------------------------------------- */

static void cell_text(const cbor_item_t *item, char *out, size_t room) {
    if (cbor_isa_string(item))
        snprintf(out, room, "%.*s", (int)cbor_string_length(item), (const char *)cbor_string_handle(item));
    else if (cbor_isa_uint(item))
        snprintf(out, room, "%" PRIu64, cbor_get_int(item));
    else if (cbor_isa_negint(item))
        snprintf(out, room, "-%" PRIu64, cbor_get_int(item) + 1);
    else if (cbor_isa_float_ctrl(item) && !cbor_float_ctrl_is_ctrl(item))
        snprintf(out, room, "%.1f", cbor_float_get_float(item));
    else
        snprintf(out, room, "-");
}

static void measure(const cbor_item_t *row, size_t *widths) {
    char text[256];
    for (size_t i = 0; i < cbor_array_size(row) && i < MOST_COLUMNS; i++) {
        cell_text(cbor_array_handle(row)[i], text, sizeof text);
        if (strlen(text) > widths[i])
            widths[i] = strlen(text);
    }
}

static void print_row(const cbor_item_t *row, const size_t *widths) {
    char text[256];
    printf("   ");
    for (size_t i = 0; i < cbor_array_size(row) && i < MOST_COLUMNS; i++) {
        const cbor_item_t *item = cbor_array_handle(row)[i];
        cell_text(item, text, sizeof text);
        printf(" %*s ", cbor_isa_string(item) ? -(int)widths[i] : (int)widths[i], text);
    }
    printf("\n");
}

int database_print(const struct database *database, const char *sql) {
    cbor_item_t *answer = database_call(database, database->query, sql, NULL);
    const cbor_item_t *columns = cbor_at(answer, "columns"), *rows = cbor_at(answer, "rows");
    size_t widths[MOST_COLUMNS] = {0};
    int rc = columns && rows ? 0 : -1;
    if (rc == 0) {
        measure(columns, widths);
        for (size_t i = 0; i < cbor_array_size(rows); i++)
            measure(cbor_array_handle(rows)[i], widths);
        print_row(columns, widths);
        for (size_t i = 0; i < cbor_array_size(rows); i++)
            print_row(cbor_array_handle(rows)[i], widths);
    }
    if (answer)
        cbor_decref(&answer);
    return rc;
}
