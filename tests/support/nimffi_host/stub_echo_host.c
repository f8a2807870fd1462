/* A host with a stub of the module echo inside, made of the macros that a generated source is made of. Its flags are
 * STUB_FLAGS.
 *
 * usage: stub-echo-host stream COUNT BYTES   what a request's callback is told on the way, and in the end
 *        stub-echo-host connect              what is told where there is no supervisor */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "berth_stub.h"

const struct stub_library berth_stub_library = {.module = "echo", .flags = STUB_FLAGS};
BERTH_STUB_CREATE(echo_create)
BERTH_STUB_METHOD(echo_stream, "stream")
BERTH_STUB_STATIC(echo_version, "version")
BERTH_STUB_DESTROY(echo_destroy)

struct told {
    unsigned pieces, wrong; /* code 3: how many, and how many of those were not as they should be */
    size_t bytes;           /* of each */
    int code;               /* of the end; -1: not yet */
    char text[2048];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static bool is_right(const struct told *told, const char *data, size_t len) {
    const unsigned char *bytes = (const unsigned char *)data;
    if (len != told->bytes || data[len] != 0)
        return false;
    return len < 4 || ((unsigned)bytes[0] << 24 | (unsigned)bytes[1] << 16 | (unsigned)bytes[2] << 8 | bytes[3]) ==
                          told->pieces;
}

static void on_told(int code, const char *data, size_t len, void *user_data) {
    struct told *told = user_data;
    pthread_mutex_lock(&lock);
    if (code == STUB_RET_STALE_WARN) {
        told->wrong += !is_right(told, data, len);
        told->pieces++;
    } else {
        snprintf(told->text, sizeof told->text, "%.*s", (int)len, data);
        told->code = code;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
}

static void wait_for_end(struct told *told) {
    pthread_mutex_lock(&lock);
    while (told->code < 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void put_uint(uint8_t *at, const char *key, uint32_t value) {
    at[0] = (uint8_t)(0x60 | strlen(key));
    memcpy(at + 1, key, strlen(key));
    at += 1 + strlen(key);
    *at++ = 0x1a;
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(value >> shift);
}

static int stream(uint32_t count, uint32_t bytes) {
    struct told created = {.code = -1}, told = {.code = -1, .bytes = bytes};
    uint8_t request[23] = {0xa2};
    put_uint(request + 1, "count", count);
    put_uint(request + 12, "bytes", bytes);
    void *ctx = echo_create((const uint8_t *)"", 0, on_told, &created);
    if (!ctx)
        return 1;
    wait_for_end(&created);
    int returned = echo_stream(ctx, on_told, &told, request, sizeof request);
    wait_for_end(&told);
    printf("returned %d; code 3: %u, wrong: %u; then %d, %zu bytes\n", returned, told.pieces, told.wrong, told.code,
           strlen(told.text));
    return echo_destroy(ctx);
}

static int without_supervisor(void) {
    struct told created = {.code = -1}, asked = {.code = -1};
    void *ctx = echo_create((const uint8_t *)"", 0, on_told, &created);
    printf("create: %s; %d %s\n", ctx ? "a context" : "NULL", created.code, created.text);
    int returned = echo_version(on_told, &asked, (const uint8_t *)"", 0);
    wait_for_end(&asked);
    printf("static: %d; %d %s\n", returned, asked.code, asked.text);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "stream") == 0)
        return stream((uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]));
    if (argc == 2 && strcmp(argv[1], "connect") == 0)
        return without_supervisor();
    fprintf(stderr, "stub-echo-host: see its source\n");
    return 2;
}
