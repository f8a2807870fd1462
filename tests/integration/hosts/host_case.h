/* What the hosts in this folder share. Each is a process of its own in plain C, as what it tries (closed descriptors,
 * signals, fork) would change the test that runs beside it. */
#ifndef BERTH_TESTS_HOST_CASE_H
#define BERTH_TESTS_HOST_CASE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "berth/berth.h"
#include "control.h"

static int case_out = 1; /* where the result goes, whatever becomes of 1 and 2 */
static int case_checks, case_failures;

/* Of a test that cannot be tried here. */
#define CASE_SKIPPED 77

static inline void check_equal(const char *what, long got, long expected) {
    case_checks++;
    if (got == expected)
        return;
    case_failures++;
    dprintf(case_out, "%s: %ld and not %ld\n", what, got, expected);
}

static inline void check_so(const char *what, int so) {
    case_checks++;
    if (so)
        return;
    case_failures++;
    dprintf(case_out, "not so: %s\n", what);
}

static inline int case_result(void) {
    dprintf(case_out, "%d checks passed, %d failed\n", case_checks - case_failures, case_failures);
    return case_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Stops the program where the rest has no sense without it. */
static inline void need(const char *what, int ret) {
    check_equal(what, ret, BERTH_RET_OK);
    if (ret != BERTH_RET_OK)
        exit(case_result());
}

static inline int try_connect_private(berth_client *out) {
    const struct berth_options options = {.size = sizeof options, .flags = BERTH_PRIVATE};
    return berth_connect(&options, out);
}

static inline berth_client connect_private(void) {
    berth_client client;
    need("connect", try_connect_private(&client));
    return client;
}

static inline int try_open(berth_client client, const char *module, berth_context *out) {
    struct berth_reply why;
    int ret = berth_open(client, module, NULL, 0, NULL, out, &why);
    if (ret)
        dprintf(case_out, "open %s: %s: %.*s\n", module, berth_ret_name(ret), (int)why.len, (const char *)why.data);
    berth_reply_free(&why);
    return ret;
}

static inline berth_context open_echo(berth_client client) {
    berth_context context;
    need("open", try_open(client, "echo", &context));
    return context;
}

static inline int call_method(berth_context context, const char *method, const void *data, size_t len, int timeout_ms) {
    struct berth_reply reply;
    int ret = berth_call(context, berth_method_id(method, strlen(method)), data, len, timeout_ms, &reply);
    berth_reply_free(&reply);
    return ret;
}

static inline int call_echo(berth_context context) { return call_method(context, "echo", "x", 1, 60000); }

/* The first number behind a text key in CBOR, or -1. */
static inline long number_after(const uint8_t *data, size_t len, const char *key) {
    size_t key_len = strlen(key);
    for (size_t i = 0; i + 1 + key_len < len; i++) {
        if (data[i] != 0x60 + key_len || memcmp(data + i + 1, key, key_len) != 0)
            continue;
        const uint8_t *at = data + i + 1 + key_len;
        long value = 0;
        int more = *at < 24 ? 0 : *at == 24 ? 1 : *at == 25 ? 2 : *at == 26 ? 4 : 8;
        if (!more)
            return *at;
        while (more--)
            value = value << 8 | *++at;
        return value;
    }
    return -1;
}

static inline long status_number(berth_client client, const char *key) {
    struct berth_reply reply;
    need("status", berth_status(client, &reply));
    long number = number_after(reply.data, reply.len, key);
    berth_reply_free(&reply);
    return number;
}
static inline pid_t supervisor_of(berth_client client) { return (pid_t)status_number(client, "pid"); }
static inline pid_t worker_of(berth_client client) { return (pid_t)status_number(client, "worker_pid"); }

/* The kernel's, whatever is preloaded. */
static inline uint64_t now_ms(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Only our own deadline ends these (the worker would answer in a minute): not before its time, and not long after. */
static inline void check_deadlines(berth_context context) {
    enum { late_ms = 150, at_most_ms = 50000 };
    static const char in_a_minute[] = "\xa2\x62ms\x19\xea\x60\x64" "data\x61x";
    struct berth_completion completion;
    uint64_t began = now_ms();
    check_equal("call past its deadline", call_method(context, "later", in_a_minute, sizeof in_a_minute - 1, late_ms),
                BERTH_RET_TIMEOUT);
    check_so("a call waits for its deadline", now_ms() - began >= late_ms);
    check_so("a call ends at its deadline", now_ms() - began < at_most_ms);
    began = now_ms();
    check_equal("reap with nothing to reap", berth_reap(context, &completion, 1, late_ms), 0);
    check_so("reap waits for its deadline", now_ms() - began >= late_ms);
    check_so("reap ends at its deadline", now_ms() - began < at_most_ms);
}

/* The state letter in /proc, or 0: no such process. */
static inline char process_state(pid_t pid) {
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return end ? end[2] : 0;
}

static inline int gone_soon(pid_t pid) {
    for (int i = 0; i < 6000; i++) {
        char state = process_state(pid);
        if (state == 0 || state == 'Z')
            return 1;
        usleep(10000);
    }
    return 0;
}

#endif
