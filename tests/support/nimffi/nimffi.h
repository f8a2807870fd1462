/* What every library of this kind shares with its hosts: the callback, its codes, and the texts that hosts compare. */
#ifndef NIMFFI_H
#define NIMFFI_H

#include <stddef.h>
#include <stdint.h>

/* `msg` is valid during the call only. */
typedef void (*FFICallback)(int ret, const char *msg, size_t len, void *user_data);

enum { RET_OK = 0, RET_ERR = 1, RET_MISSING_CALLBACK = 2, RET_STALE_WARN = 3 };

#define NIMFFI_MAX_CONTEXTS 32
#define NIMFFI_EVENT_QUEUE 1024

#define NIMFFI_EXPORT __attribute__((visibility("default")))

#endif
