/* The sqlite module, as a C host calls it: requests are CBOR maps made with libcbor. */
#ifndef DATABASE_H
#define DATABASE_H

#include <berth/berth.h>
#include <cbor.h>

struct database {
    berth_context context;
    uint32_t exec, query, batch; /* method ids */
};

/* Opens the database file `path` in a worker of its own. A berth_ret; failures are told on stderr. */
int database_open(struct database *database, berth_client client, const char *path);

/* {"sql": sql} or, with rows (which it takes), {"sql": sql, "rows": rows}, as bytes to free(). NULL: no memory. */
unsigned char *database_request(const char *sql, cbor_item_t *rows, size_t *len);

/* Calls a method and waits. The reply, for cbor_decref; NULL after telling on stderr what went wrong. */
cbor_item_t *database_call(const struct database *database, uint32_t method, const char *sql, cbor_item_t *rows);

/* The value at `key` of a map, borrowed; NULL when there is none. */
const cbor_item_t *cbor_at(const cbor_item_t *map, const char *key);

/* Queries, and prints the rows as a table. 0, or -1 after telling on stderr. */
int database_print(const struct database *database, const char *sql);

#endif
