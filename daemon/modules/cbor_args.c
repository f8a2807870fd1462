#include "cbor_args.h"

#include "cbor_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_KEY_SIZE = 65 };

static bool say(struct berth_args *args, const char *what) {
    snprintf(args->error, sizeof args->error, "%s: %s", args->method, what);
    return false;
}

bool berth_args_wrong(struct berth_args *args, const char *key, const char *what) {
    snprintf(args->error, sizeof args->error, "%s: key \"%s\": %s", args->method, key, what);
    return false;
}

void berth_args_why(char *why, size_t why_size, const void *text, size_t len) {
    const unsigned char *from = text;
    if (why_size == 0)
        return;
    size_t shown = len < why_size ? len : why_size - 1;
    while (shown > 0 && shown < len && (from[shown] & 0xc0) == 0x80)
        shown--;
    if (shown > 0)
        memcpy(why, from, shown);
    why[shown] = 0;
}

static bool wrong_key(struct berth_args *args, const cbor_item_t *key, const char *what) {
    char shown[SHOWN_KEY_SIZE];
    berth_args_why(shown, sizeof shown, cbor_string_handle(key), cbor_string_length(key));
    return berth_args_wrong(args, shown, what);
}

static cbor_item_t *join_chunks(const cbor_item_t *item, bool text) {
    size_t count = text ? cbor_string_chunk_count(item) : cbor_bytestring_chunk_count(item), len = 0;
    cbor_item_t **chunks = text ? cbor_string_chunks_handle(item) : cbor_bytestring_chunks_handle(item);
    for (size_t i = 0; i < count; i++)
        len += text ? cbor_string_length(chunks[i]) : cbor_bytestring_length(chunks[i]);
    unsigned char *joined = malloc(len + 1);
    cbor_item_t *whole = joined ? (text ? cbor_new_definite_string() : cbor_new_definite_bytestring()) : NULL;
    if (!whole) {
        free(joined);
        return NULL;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t part = text ? cbor_string_length(chunks[i]) : cbor_bytestring_length(chunks[i]);
        if (part > 0)
            memcpy(joined + at, text ? cbor_string_handle(chunks[i]) : cbor_bytestring_handle(chunks[i]), part);
        at += part;
    }
    if (text)
        cbor_string_set_handle(whole, joined, len);
    else
        cbor_bytestring_set_handle(whole, joined, len);
    return whole;
}

static bool make_whole(cbor_item_t **slot);

static bool make_children_whole(cbor_item_t *item) {
    bool whole = true;
    if (cbor_isa_array(item))
        for (size_t i = 0; i < cbor_array_size(item); i++)
            whole = whole && make_whole(&cbor_array_handle(item)[i]);
    else if (cbor_isa_map(item))
        for (size_t i = 0; i < cbor_map_size(item); i++)
            whole = whole && make_whole(&cbor_map_handle(item)[i].key) && make_whole(&cbor_map_handle(item)[i].value);
    return whole;
}

/* Strings in chunks become plain ones, so that no reader needs to know of them. Recurses as deep as the check let in.
 */
static bool make_whole(cbor_item_t **slot) {
    bool text = cbor_isa_string(*slot);
    if (!text && !cbor_isa_bytestring(*slot))
        return make_children_whole(*slot);
    if (text ? cbor_string_is_definite(*slot) : cbor_bytestring_is_definite(*slot))
        return true;
    cbor_item_t *whole = join_chunks(*slot, text);
    if (!whole)
        return false;
    cbor_decref(slot);
    *slot = whole;
    return true;
}

static bool key_is(const cbor_item_t *key, const char *name) {
    size_t len = strlen(name);
    return cbor_string_length(key) == len && (len == 0 || memcmp(cbor_string_handle(key), name, len) == 0);
}

static bool check_keys(struct berth_args *args, const char *const *keys) {
    uint64_t seen = 0;
    for (size_t i = 0; i < cbor_map_size(args->map); i++) {
        cbor_item_t *key = cbor_map_handle(args->map)[i].key;
        if (!cbor_isa_string(key))
            return say(args, "a key that is not text");
        unsigned which = 0;
        while (keys[which] && !key_is(key, keys[which]))
            which++;
        if (!keys[which])
            return wrong_key(args, key, "unknown");
        if (seen & (uint64_t)1 << which)
            return wrong_key(args, key, "given twice");
        seen |= (uint64_t)1 << which;
    }
    return true;
}

bool berth_args_open(struct berth_args *args, const char *method, const uint8_t *data, size_t len,
                     const char *const *keys) {
    *args = (struct berth_args){.method = method};
    const char *wrong = berth_cbor_check(data, len);
    if (wrong) {
        snprintf(args->error, sizeof args->error, "%s: not a CBOR map: %s", method, wrong);
        return false;
    }
    if (data[0] >> 5 != 5)
        return say(args, "not a CBOR map");
    struct cbor_load_result result;
    args->map = cbor_load(data, len, &result);
    if (!args->map)
        return say(args, result.error.code == CBOR_ERR_MEMERROR ? "out of memory" : "not a CBOR map");
    if (!make_whole(&args->map))
        return say(args, "out of memory");
    return check_keys(args, keys);
}

void berth_args_close(struct berth_args *args) {
    if (args->map)
        cbor_decref(&args->map);
}

cbor_item_t *berth_args_find(const struct berth_args *args, const char *key) {
    for (size_t i = 0; i < cbor_map_size(args->map); i++)
        if (key_is(cbor_map_handle(args->map)[i].key, key))
            return cbor_map_handle(args->map)[i].value;
    return NULL;
}

static cbor_item_t *need(struct berth_args *args, const char *key) {
    cbor_item_t *value = berth_args_find(args, key);
    if (!value)
        berth_args_wrong(args, key, "missing");
    return value;
}

bool berth_args_uint(struct berth_args *args, const char *key, uint64_t max, uint64_t *out) {
    cbor_item_t *value = need(args, key);
    if (!value)
        return false;
    if (!cbor_isa_uint(value))
        return berth_args_wrong(args, key, "not an unsigned integer");
    *out = cbor_get_int(value);
    if (*out <= max)
        return true;
    char over[40];
    snprintf(over, sizeof over, "over %" PRIu64, max);
    return berth_args_wrong(args, key, over);
}

static struct berth_span span(const unsigned char *data, size_t len) {
    return (struct berth_span){.data = data ? data : (const unsigned char *)"", .len = len};
}

bool berth_args_text(struct berth_args *args, const char *key, struct berth_span *out) {
    cbor_item_t *value = need(args, key);
    if (!value)
        return false;
    if (!cbor_isa_string(value))
        return berth_args_wrong(args, key, "not text");
    *out = span(cbor_string_handle(value), cbor_string_length(value));
    return true;
}

bool berth_args_data(struct berth_args *args, const char *key, struct berth_span *out) {
    cbor_item_t *value = need(args, key);
    if (!value)
        return false;
    if (cbor_isa_string(value))
        return berth_args_text(args, key, out);
    if (!cbor_isa_bytestring(value))
        return berth_args_wrong(args, key, "not bytes or text");
    *out = span(cbor_bytestring_handle(value), cbor_bytestring_length(value));
    return true;
}

bool berth_args_bool(struct berth_args *args, const char *key, bool *out) {
    cbor_item_t *value = need(args, key);
    if (!value)
        return false;
    if (!cbor_isa_float_ctrl(value) || !cbor_float_ctrl_is_ctrl(value) || !cbor_is_bool(value))
        return berth_args_wrong(args, key, "not a boolean");
    *out = cbor_get_bool(value);
    return true;
}
