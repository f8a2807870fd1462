/* A module that does not let go: `hold` never returns and cannot be cancelled, and destroy does not return either. */
#include "module.h"

#include <unistd.h>

static const struct berth_worker *worker;

enum { ECHO, HOLD };

static const struct berth_method methods[] = {{"echo", 0}, {"hold", 0}};

__attribute__((noreturn)) static void forever(void) {
    for (;;)
        pause();
}

static void handle(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    (void)instance;
    if (method == HOLD)
        forever();
    worker->reply(request, 0, data, len);
}

static int create(const uint8_t *config, size_t len, void **instance, char *why, size_t why_size) {
    (void)config, (void)len, (void)instance, (void)why, (void)why_size;
    return 0;
}

static void destroy(void *instance) {
    (void)instance;
    forever();
}

static const struct berth_module module = {.abi = BERTH_MODULE_ABI,
                                           .size = sizeof module,
                                           .name = "stubborn",
                                           .version = "1",
                                           .method_count = sizeof methods / sizeof *methods,
                                           .methods = methods,
                                           .create = create,
                                           .destroy = destroy,
                                           .handle = handle};

__attribute__((visibility("default"))) const struct berth_module *berth_module(const struct berth_worker *given) {
#ifdef NEVER_LOADS
    forever();
#endif
    worker = given;
    return &module;
}
