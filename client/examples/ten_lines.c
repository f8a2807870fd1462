/* A host of ten lines: it asks a database, which lives in another process, for SQLite's version. */
#include <berth/berth.h>
#include <stdio.h>

int main(void) {
    static const char request[] = "\xa1\x63sql\x78\x18SELECT sqlite_version();"; /* CBOR: {"sql": "SELECT …"} */
    struct berth_reply reply = {0};
    berth_client client;
    berth_context db;
    uint32_t query;
    if (berth_connect(NULL, &client) || berth_open(client, "sqlite", NULL, 0, NULL, &db, NULL)) return 1;
    berth_method(db, "query", &query);
    int ret = berth_call(db, query, request, sizeof request - 1, 1000, &reply);
    printf("%s: %.*s\n", berth_ret_name(ret), (int)reply.len, (const char *)reply.data);
    berth_reply_free(&reply);
    return berth_disconnect(client);
}
