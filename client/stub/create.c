/* Making a context: the host has its address before there is a worker, and may use it at once. */
#include <stdio.h>
#include <string.h>

#include "stub.h"

#define IN_FLIGHT 4096u /* requests of one context without an answer; the original has no bound but memory */

/* A CBOR text string: the address in decimal. Of the older generation the answer is empty. */
static size_t address_payload(const struct stub_context *context, char *out, size_t size) {
    char digits[24];
    if (berth_stub_library.flags & STUB_JSON)
        return 0;
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)(uintptr_t)context->address);
    return (size_t)snprintf(out, size, "%c%s", 0x60 | len, digits);
}

static void on_created(int ret, const uint8_t *data, size_t len, void *user_data) {
    struct stub_context *context = user_data;
    char address[32];
    stub_callback_thread(context);
    if (ret == BERTH_RET_OK) {
        data = (const uint8_t *)address;
        len = address_payload(context, address, sizeof address);
    } else {
        stub_context_retract(context);
        stub_failed_remember(context->address);
    }
    if (len == 0)
        address[0] = 0;
    stub_tell(context->create_cb, context->create_ud, ret, data, len);
    if (ret != BERTH_RET_OK && !__atomic_exchange_n(&context->closing, 1, __ATOMIC_ACQ_REL)) {
        stub_listeners_drop(context);
        stub_context_give(context);
    }
    stub_context_give(context);
}

static int open_on(struct stub_context *context, struct stub_connection *connection, const void *config, size_t len) {
    struct berth_open_options options = {.size = sizeof options};
    if (berth_stub_library.flags & (STUB_JSON | STUB_NO_PROGRESS))
        options.stale_warn_ms = UINT32_MAX;
    options.max_in_flight = IN_FLIGHT;
    context->connection = connection;
    return berth_open_submit(connection->client, berth_stub_library.module, config, len, &options, on_created, context,
                             &context->berth);
}

/* A supervisor that went away is looked for, or started, once more. */
static int open_context(struct stub_context *context, const void *config, size_t len, struct berth_reply *why) {
    struct stub_connection *connection;
    int ret = BERTH_RET_UNAVAILABLE;
    for (int tries = 0; tries < 2 && ret == BERTH_RET_UNAVAILABLE; tries++) {
        ret = stub_connection_take(&connection, why);
        if (ret != BERTH_RET_OK)
            break;
        ret = open_on(context, connection, config, len);
        if (ret == BERTH_RET_UNAVAILABLE)
            stub_connection_lost(connection);
        if (ret != BERTH_RET_OK) {
            stub_connection_give(connection);
            context->connection = NULL;
        }
    }
    return ret;
}

void *stub_create(const void *config, size_t len, FFICallback cb, void *ud) {
    if (!cb)
        return NULL;
    struct stub_context *context = stub_forked() ? NULL : stub_context_new();
    if (!context) {
        stub_refuse(cb, ud, stub_forked() ? BERTH_RET_FORKED : BERTH_RET_EXHAUSTED);
        return NULL;
    }
    context->create_cb = cb;
    context->create_ud = ud;
    stub_context_publish(context);
    void *address = context->address; /* the callback may come, and the context go, before this returns */
    struct berth_reply why = {0};
    int ret = open_context(context, config, len, &why);
    if (ret == BERTH_RET_OK)
        return address;
    stub_context_retract(context);
    stub_context_give(context); /* its life, and its create */
    stub_context_give(context);
    stub_refuse_why(cb, ud, ret, &why);
    berth_reply_free(&why);
    return NULL;
}

void *stub_new(const char *config, FFICallback cb, void *ud) {
    return stub_create(config, config ? strlen(config) : 0, cb, ud);
}
