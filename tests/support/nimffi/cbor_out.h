/* Writes CBOR front to back. */
#ifndef NIMFFI_CBOR_OUT_H
#define NIMFFI_CBOR_OUT_H

#include <cbor.h>
#include <stdlib.h>
#include <string.h>

struct cbor_out {
    uint8_t *data;
    size_t len;
};

static inline void out_raw(struct cbor_out *out, const void *data, size_t len) {
    out->data = realloc(out->data, out->len + len + 1);
    if (len)
        memcpy(out->data + out->len, data, len);
    out->len += len;
}

static inline void out_map(struct cbor_out *out, size_t pairs) {
    uint8_t head[16];
    out_raw(out, head, cbor_encode_map_start(pairs, head, sizeof head));
}

static inline void out_text_of(struct cbor_out *out, const void *text, size_t len) {
    uint8_t head[16];
    out_raw(out, head, cbor_encode_string_start(len, head, sizeof head));
    out_raw(out, text, len);
}

static inline void out_text(struct cbor_out *out, const char *text) { out_text_of(out, text, strlen(text)); }

static inline void out_uint(struct cbor_out *out, uint64_t value) {
    uint8_t head[16];
    out_raw(out, head, cbor_encode_uint(value, head, sizeof head));
}

static inline void out_bool(struct cbor_out *out, bool value) { out_raw(out, value ? "\xf5" : "\xf4", 1); }

static inline void out_bytes(struct cbor_out *out, const void *data, size_t len) {
    uint8_t head[16];
    out_raw(out, head, cbor_encode_bytestring_start(len, head, sizeof head));
    out_raw(out, data, len);
}

#endif
