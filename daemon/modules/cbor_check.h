/* Whether bytes are one CBOR item that is safe to give to cbor_load. */
#ifndef BERTH_MODULES_CBOR_CHECK_H
#define BERTH_MODULES_CBOR_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_CBOR_MAX_DEPTH 64

/* NULL, or what is wrong, as text that lives for ever. */
const char *berth_cbor_check(const uint8_t *data, size_t len);

bool berth_utf8_valid(const uint8_t *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
