/* my_timer's requests, and calls that are recorded. */
#ifndef TIMER_CALLS_H
#define TIMER_CALLS_H

#include <sys/types.h>

#include "my_timer.h"
#include "record.h"

typedef int (*method)(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);

struct cbor_out no_parameters(void);
struct cbor_out config_of(const char *name, const char *fail); /* fail: NULL, or the error it is to answer */
struct cbor_out echo_of(const char *message, uint64_t delay_ms);
struct cbor_out one_text(const char *key, const char *value);
struct cbor_out one_uint(const char *key, uint64_t value);
struct cbor_out emit_of(const char *name, uint64_t count);

/* Spoils the bytes of a request and frees it. */
void done_with(struct cbor_out *request);
/* Frees the request; its bytes are spoilt as soon as the call has returned. */
void submit(struct record *record, method call, void *ctx, struct cbor_out request);
/* The same, waits and prints. */
void ask(const char *name, method call, void *ctx, struct cbor_out request);
/* Waits for the answer; `address`: 40 bytes for the text of the address. */
void *create(struct record *record, struct cbor_out config, char *address);
/* A context that must come to be, with nothing printed. */
void *created(const char *name);
/* Either generation's, waited for; what it returned. */
int destroy_code(void *ctx, struct record *record);
void destroy(const char *name, void *ctx);
/* The process that the library runs in, which must not be this one. */
pid_t library_pid(void *ctx);

/* nimffi_rules.c: what a stub does right and the original does not. */
int rules(void);

#endif
