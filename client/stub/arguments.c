/* The older generation's arguments, C strings and numbers, as a CBOR array. */
#include <cbor.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "stub.h"

struct packed {
    uint8_t *data;
    size_t len, size;
    int failed;
};

/* Room for `len` more, and a head. */
static uint8_t *room(struct packed *packed, size_t len) {
    size_t need = packed->len + len + 9;
    if (need > packed->size && !packed->failed) {
        uint8_t *grown = realloc(packed->data, 2 * need);
        packed->failed = !grown;
        packed->data = grown ? grown : packed->data;
        packed->size = grown ? 2 * need : packed->size;
    }
    return packed->failed ? NULL : packed->data + packed->len;
}

static void put_text(struct packed *packed, const char *text) {
    size_t len = text ? strlen(text) : 0;
    uint8_t *at = room(packed, len);
    if (!at)
        return;
    size_t head = text ? cbor_encode_string_start(len, at, 9) : cbor_encode_null(at, 9);
    if (len)
        memcpy(at + head, text, len);
    packed->len += head + len;
}

static void put_int(struct packed *packed, int64_t value) {
    uint8_t *at = room(packed, 0);
    if (at)
        packed->len += value < 0 ? cbor_encode_negint((uint64_t)(-1 - value), at, 9)
                                 : cbor_encode_uint((uint64_t)value, at, 9);
}

static void put_uint(struct packed *packed, uint64_t value) {
    uint8_t *at = room(packed, 0);
    if (at)
        packed->len += cbor_encode_uint(value, at, 9);
}

static void put_other(struct packed *packed, int is_bool, double value) {
    uint8_t *at = room(packed, 0);
    if (at)
        packed->len += is_bool ? cbor_encode_bool(value != 0, at, 9) : cbor_encode_double(value, at, 9);
}

static void pack(struct packed *packed, const char *types, va_list values) {
    uint8_t *at = room(packed, 0);
    if (at)
        packed->len += cbor_encode_array_start(strlen(types), at, 9);
    for (; *types; types++) {
        switch (*types) {
        case 's': put_text(packed, va_arg(values, const char *)); break;
        case 'i': put_int(packed, va_arg(values, int)); break;
        case 'u': put_uint(packed, va_arg(values, unsigned)); break;
        case 'I': put_int(packed, va_arg(values, int64_t)); break;
        case 'U': put_uint(packed, va_arg(values, uint64_t)); break;
        case 'b': put_other(packed, 1, va_arg(values, int)); break;
        default: put_other(packed, 0, va_arg(values, double));
        }
    }
}

int stub_call_arguments(struct stub_method *method, void *ctx, FFICallback cb, void *ud, const char *types, ...) {
    struct packed packed = {0};
    va_list values;
    if (!cb)
        return STUB_RET_MISSING_CALLBACK;
    va_start(values, types);
    pack(&packed, types, values);
    va_end(values);
    int rc = packed.failed ? stub_refuse(cb, ud, BERTH_RET_EXHAUSTED)
                           : stub_call(method, ctx, cb, ud, packed.data, packed.len);
    free(packed.data);
    return rc;
}

int stub_call_static_arguments(const char *method, FFICallback cb, void *ud, const char *types, ...) {
    struct packed packed = {0};
    va_list values;
    if (!cb)
        return STUB_RET_MISSING_CALLBACK;
    va_start(values, types);
    pack(&packed, types, values);
    va_end(values);
    int rc = packed.failed ? stub_refuse(cb, ud, BERTH_RET_EXHAUSTED)
                           : stub_call_static(method, cb, ud, packed.data, packed.len);
    free(packed.data);
    return rc;
}
