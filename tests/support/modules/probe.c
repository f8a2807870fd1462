/* A module that does what a polite one would not: writes to stdout, answers twice or never or too much, leaks, keeps
 * state from one context to the next, holds the library's thread for good, and takes as many milliseconds for its destroy as its configuration says. */
#include "module.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct berth_worker *worker;

enum { SAY, BIG, TWICE, MUTE, ENVIRONMENT, FAIL_EMPTY, SERIAL, LEAK, HANG, PROGRESS, CATCH, CAUGHT, IGNORED };

static const struct berth_method methods[] = {{"say", 0},  {"big", 0},         {"twice", 0},
                                              {"mute", 0}, {"environment", 0}, {"fail_empty", 0},
                                              {"serial", 0}, {"leak", 0},      {"hang", 0},
                                              {"progress", 0}, {"catch", 0},      {"caught", 0},
                                              {"ignored", 0},
#ifdef LATIN_1
                                              {"caf\xe9", 0},
#endif
};

static int creates; /* in this process */

static int create(const uint8_t *config, size_t len, void **instance, char *why, size_t why_size) {
    char text[32] = {0};
    (void)why, (void)why_size;
    memcpy(text, config, len < sizeof text ? len : sizeof text - 1);
    *instance = (void *)(intptr_t)(atoi(text) + 1); /* never NULL */
    creates++;
    return 0;
}

static void destroy(void *instance) { usleep(1000 * (useconds_t)((intptr_t)instance - 1)); }

static void serial(berth_request request) {
    char text[16];
    worker->reply(request, 0, text, (size_t)snprintf(text, sizeof text, "%d", creates));
}

static void leak(berth_request request) {
    size_t len = (size_t)64 << 20;
    char *bytes = malloc(len);
    if (bytes)
        memset(bytes, 1, len);
    worker->reply(request, 0, &bytes, sizeof bytes); /* reachable no longer, and used, so that it is not left out */
}

static void say(berth_request request, const uint8_t *data, size_t len) {
    printf("on stdout: %.*s\n", (int)len, (const char *)data);
    fflush(stdout);
    fprintf(stderr, "on stderr: %.*s\n", (int)len, (const char *)data);
    worker->log("by the log function");
    worker->reply(request, 0, "said", 4);
}

static void big(berth_request request) {
    size_t len = ((size_t)16 << 20) + 1;
    char *bytes = calloc(1, len);
    worker->reply(request, 0, bytes, len);
    free(bytes);
}

static void environment(berth_request request, const uint8_t *data, size_t len) {
    char name[64] = {0};
    memcpy(name, data, len < sizeof name ? len : sizeof name - 1);
    const char *value = getenv(name);
    worker->reply(request, value ? 0 : 1, value ? value : "not set", strlen(value ? value : "not set"));
}

/* The codes that the worker gave for progress: of a request in flight, of too long a text, of one that was answered. */
static void progress(berth_request request) {
    char text[256] = {0}, codes[32];
    int first = worker->progress(request, "5000", 4);
    int second = worker->progress(request, "10000", 5);
    int too_long = worker->progress(request, text, sizeof text);
    snprintf(codes, sizeof codes, "%d %d %d", first, second, too_long);
    worker->reply(request, 0, codes, strlen(codes));
    if (worker->progress(request, "late", 4) != -1)
        abort();
}

static volatile sig_atomic_t terms;
static void on_term(int signal) {
    (void)signal;
    terms++;
}

static void caught(berth_request request) {
    char text[16];
    worker->reply(request, 0, text, (size_t)snprintf(text, sizeof text, "%d", (int)terms));
}

/* The signals that a program which the library starts finds ignored. */
static void ignored(berth_request request) {
    char line[256] = "";
    FILE *child = popen("grep SigIgn /proc/self/status", "r");
    if (child && !fgets(line, sizeof line, child))
        line[0] = 0;
    if (child)
        pclose(child);
    worker->reply(request, line[0] ? 0 : 1, line, strlen(line));
}

static void handle(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    (void)instance;
    switch (method) {
    case SAY: say(request, data, len); break;
    case BIG: big(request); break;
    case TWICE:
        worker->reply(request, 0, "first", 5);
        worker->reply(request, 0, "second", 6);
        break;
    case MUTE: break;
    case HANG:
        for (;;)
            pause();
    case SERIAL: serial(request); break;
    case LEAK: leak(request); break;
    case ENVIRONMENT: environment(request, data, len); break;
    case PROGRESS: progress(request); break;
    case CATCH:
        signal(SIGTERM, on_term);
        caught(request);
        break;
    case CAUGHT: caught(request); break;
    case IGNORED: ignored(request); break;
    default: worker->reply(request, 1, "", 0);
    }
}

#ifdef LATIN_1
#define VERSION "1\xe9"
#else
#define VERSION "1"
#endif

static const struct berth_module module = {
#ifdef WRONG_ABI
    .abi = 4711,
#else
    .abi = BERTH_MODULE_ABI,
#endif
    .size = sizeof module, .name = "probe", .version = VERSION, .method_count = sizeof methods / sizeof *methods,
    .methods = methods, .create = create, .destroy = destroy, .handle = handle};

#ifdef NO_ENTRY
__attribute__((visibility("default"))) const struct berth_module *not_the_entry(const struct berth_worker *given);
__attribute__((visibility("default"))) const struct berth_module *not_the_entry(const struct berth_worker *given) {
#else
__attribute__((visibility("default"))) const struct berth_module *berth_module(const struct berth_worker *given) {
#endif
    worker = given;
    return &module;
}
