/* A module that tells each user something else: version and method have the uid in them. For an odd one it cannot
 * work. */
#include "module.h"

#include <stdio.h>
#include <unistd.h>

static const struct berth_worker *worker;
static char version[32], name[32];
static struct berth_method methods[] = {{name, 0}};

static void handle(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    (void)instance, (void)method;
    worker->reply(request, 0, data, len);
}

static const struct berth_module module = {.abi = BERTH_MODULE_ABI, .size = sizeof module, .name = "two-faced",
    .version = version, .method_count = 1, .methods = methods, .handle = handle};

__attribute__((visibility("default"))) const struct berth_module *berth_module(const struct berth_worker *given) {
    worker = given;
    snprintf(version, sizeof version, "for %u", geteuid());
    snprintf(name, sizeof name, "of_%u", geteuid());
    return geteuid() % 2 ? NULL : &module;
}
