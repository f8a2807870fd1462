/* A request that is one CBOR map with text keys, read key by key.
 *
 *   struct berth_args args;
 *   uint64_t ms;
 *   static const char *const keys[] = {"ms", NULL};
 *   if (!berth_args_open(&args, "block", data, len, keys) || !berth_args_uint(&args, "ms", UINT64_MAX, &ms))
 *       fail(args.error);
 *   berth_args_close(&args);
 *
 * Every function that returns false has left one line of UTF-8 in `error` that names the method and the key. */
#ifndef BERTH_MODULES_CBOR_ARGS_H
#define BERTH_MODULES_CBOR_ARGS_H

#include <cbor.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_args {
    const char *method;
    cbor_item_t *map; /* no string in it is in chunks, at any depth (but under tags) */
    char error[256];
};

struct berth_span {
    const uint8_t *data; /* into the map; never NULL */
    size_t len;
};

/* `keys`: all that the method knows, ending with NULL; any other key is an error. To be closed even when false. */
bool berth_args_open(struct berth_args *args, const char *method, const uint8_t *data, size_t len,
                     const char *const *keys);
void berth_args_close(struct berth_args *args);

/* The value of a key, or NULL. */
cbor_item_t *berth_args_find(const struct berth_args *args, const char *key);

/* Of a key that must be there. */
bool berth_args_uint(struct berth_args *args, const char *key, uint64_t max, uint64_t *out);
bool berth_args_text(struct berth_args *args, const char *key, struct berth_span *out);
bool berth_args_data(struct berth_args *args, const char *key, struct berth_span *out); /* bytes or text */
bool berth_args_bool(struct berth_args *args, const char *key, bool *out);

/* Notes `METHOD: key "KEY": what`; returns false. */
bool berth_args_wrong(struct berth_args *args, const char *key, const char *what);

/* A module's `why`: as much of the text as has room, cut between two characters. */
void berth_args_why(char *why, size_t why_size, const void *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
