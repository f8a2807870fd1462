/* Writes the few small CBOR maps that the client itself makes. Each returns where the next byte goes; the caller has
 * room enough. */
#ifndef BERTH_CBOR_MAP_H
#define BERTH_CBOR_MAP_H

#include <cbor.h>
#include <string.h>

static inline size_t cbor_map_put_text(uint8_t *out, size_t at, size_t capacity, const char *key, const void *text,
                                       size_t len) {
    at += cbor_encode_string_start(strlen(key), out + at, capacity - at);
    memcpy(out + at, key, strlen(key));
    at += strlen(key);
    at += cbor_encode_string_start(len, out + at, capacity - at);
    memcpy(out + at, text, len);
    return at + len;
}

static inline size_t cbor_map_put_number(uint8_t *out, size_t at, size_t capacity, const char *key, uint64_t number) {
    at += cbor_encode_string_start(strlen(key), out + at, capacity - at);
    memcpy(out + at, key, strlen(key));
    at += strlen(key);
    return at + cbor_encode_uint(number, out + at, capacity - at);
}

#endif
