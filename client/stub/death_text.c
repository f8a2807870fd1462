/* A worker's death comes as a CBOR map; a host that knows text only gets a line. */
#include <cbor.h>
#include <stdio.h>
#include <string.h>

#include "stub.h"

struct death {
    unsigned long long signal, status, pid;
    const char *log;
    size_t log_len;
    int has_status;
};

static int is_key(const cbor_item_t *key, const char *name) {
    return cbor_isa_string(key) && cbor_string_length(key) == strlen(name) &&
           memcmp(cbor_string_handle(key), name, strlen(name)) == 0;
}

/* The last line of the last log, without its end. */
static void last_line(struct death *death, const cbor_item_t *log) {
    const char *text = (const char *)cbor_string_handle(log);
    size_t len = cbor_string_length(log);
    while (len && text[len - 1] == '\n')
        len--;
    const char *before = len ? memrchr(text, '\n', len) : NULL;
    death->log = before ? before + 1 : text;
    death->log_len = len - (size_t)(death->log - text);
}

static void take(struct death *death, const struct cbor_pair *pair) {
    if (is_key(pair->key, "signal") && cbor_isa_uint(pair->value)) {
        death->signal = cbor_get_int(pair->value);
    } else if (is_key(pair->key, "status") && cbor_isa_uint(pair->value)) {
        death->status = cbor_get_int(pair->value);
        death->has_status = 1;
    } else if (is_key(pair->key, "pid") && cbor_isa_uint(pair->value)) {
        death->pid = cbor_get_int(pair->value);
    } else if (is_key(pair->key, "last_log") && cbor_isa_string(pair->value) && cbor_string_is_definite(pair->value)) {
        last_line(death, pair->value);
    }
}

static size_t format(const struct death *death, char *out, size_t size) {
    char how[48] = "died";
    const char *name = death->signal ? sigabbrev_np((int)death->signal) : NULL;
    if (name)
        snprintf(how, sizeof how, "died by SIG%s", name);
    else if (death->signal)
        snprintf(how, sizeof how, "died by signal %llu", death->signal);
    else if (death->has_status)
        snprintf(how, sizeof how, "ended with status %llu", death->status);
    int len = snprintf(out, size, "the library's process %llu %s", death->pid, how);
    size_t at = (size_t)len;
    if (death->log_len && at + death->log_len + 3 < size)
        at += (size_t)snprintf(out + at, size - at, ": %.*s", (int)death->log_len, death->log);
    return at;
}

size_t stub_death_text(const uint8_t *data, size_t len, char *out, size_t size) {
    struct death death = {0};
    struct cbor_load_result result;
    cbor_item_t *map = cbor_load(data, len, &result);
    if (map && cbor_isa_map(map))
        for (size_t i = 0; i < cbor_map_size(map); i++)
            take(&death, &cbor_map_handle(map)[i]);
    size_t at = format(&death, out, size);
    if (map)
        cbor_decref(&map);
    return at;
}
