#include "timer_calls.h"

#include <stdio.h>
#include <unistd.h>

/* --- requests ---------------------------------------------------------------------------------------------------- */

struct cbor_out no_parameters(void) {
    struct cbor_out out = {0};
    out_map(&out, 0);
    return out;
}

struct cbor_out config_of(const char *name, const char *fail) {
    struct cbor_out out = {0};
    out_map(&out, 1);
    out_text(&out, "config");
    out_map(&out, fail ? 2 : 1);
    out_text(&out, "name");
    out_text(&out, name);
    if (fail) {
        out_text(&out, "fail");
        out_text(&out, fail);
    }
    return out;
}

struct cbor_out echo_of(const char *message, uint64_t delay_ms) {
    struct cbor_out out = {0};
    out_map(&out, 1);
    out_text(&out, "req");
    out_map(&out, 2);
    out_text(&out, "message");
    out_text(&out, message);
    out_text(&out, "delayMs");
    out_uint(&out, delay_ms);
    return out;
}

struct cbor_out one_text(const char *key, const char *value) {
    struct cbor_out out = {0};
    out_map(&out, 1);
    out_text(&out, key);
    out_text(&out, value);
    return out;
}

struct cbor_out one_uint(const char *key, uint64_t value) {
    struct cbor_out out = {0};
    out_map(&out, 1);
    out_text(&out, key);
    out_uint(&out, value);
    return out;
}

struct cbor_out emit_of(const char *name, uint64_t count) {
    struct cbor_out out = {0};
    out_map(&out, 2);
    out_text(&out, "name");
    out_text(&out, name);
    out_text(&out, "count");
    out_uint(&out, count);
    return out;
}

/* --- calls ------------------------------------------------------------------------------------------------------- */

/* The request's bytes are spoilt as soon as the call has returned. */
void done_with(struct cbor_out *request) {
    memset(request->data, 0xee, request->len);
    free(request->data);
}

void submit(struct record *record, method call, void *ctx, struct cbor_out request) {
    begin(record);
    returned(record, call(ctx, on_told, record, request.data, request.len));
    done_with(&request);
}

void ask(const char *name, method call, void *ctx, struct cbor_out request) {
    struct record record = RECORD(name);
    submit(&record, call, ctx, request);
    wait_terminal(&record, 1);
    print_record(&record);
}

void *create(struct record *record, struct cbor_out config, char *address) {
    char digits[24];
    begin(record);
    void *ctx = my_timer_create(config.data, config.len, on_told, record);
    returned(record, ctx != NULL);
    done_with(&config);
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)(uintptr_t)ctx);
    sprintf(address, "%c%s", 0x60 | len, digits);
    record->address = address;
    wait_terminal(record, 1);
    return ctx;
}

void *created(const char *name) {
    char address[40];
    struct record record = RECORD("create");
    void *ctx = create(&record, config_of(name, NULL), address);
    if (!ctx || record.told[0].code != RET_OK)
        fail_host("create: %d %.*s", record.told[0].code, (int)record.told[0].len, record.told[0].data);
    return ctx;
}

int destroy_code(void *ctx, struct record *record) {
    begin(record);
#ifdef MY_TIMER_BLOCKING
    returned(record, my_timer_destroy(ctx));
#else
    returned(record, my_timer_destroy(ctx, on_told, record));
    wait_terminal(record, 1);
#endif
    return record->returned;
}

void destroy(const char *name, void *ctx) {
    struct record record = RECORD(name);
    destroy_code(ctx, &record);
    print_record(&record);
}

/* The "pid" of environment's answer, which ends it. */
pid_t library_pid(void *ctx) {
    struct record record = RECORD("environment");
    submit(&record, my_timer_environment, ctx, no_parameters());
    wait_terminal(&record, 1);
    const struct told *told = &record.told[0];
    const uint8_t *at = memmem(told->data, told->len, "pid", 3);
    uint64_t pid = 0;
    if (!at)
        fail_host("environment has no pid");
    at += 3;
    int bytes = *at < 0x18 ? 0 : 1 << (*at - 0x18);
    pid = bytes ? 0 : *at;
    for (int i = 1; i <= bytes; i++)
        pid = pid << 8 | at[i];
    if (pid == (uint64_t)getpid())
        fail_host("the library is in this process");
    return (pid_t)pid;
}
