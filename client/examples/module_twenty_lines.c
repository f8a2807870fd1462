/* A module of twenty lines: `rot13` answers text, turned by 13 letters. The context is how often it was asked. */
#include <berth/module.h>
#include <ctype.h>
#include <stdlib.h>

static const struct berth_worker *worker;

static int create(const uint8_t *config, size_t len, void **instance, char *why, size_t why_size) {
    (void)config, (void)len, (void)why, (void)why_size;
    return !(*instance = calloc(1, sizeof(uint64_t)));
}

static void handle(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    char *out = method == 0 ? malloc(len + 1) : NULL;
    for (size_t i = 0; out && i < len; i++)
        out[i] = isalpha(data[i]) ? (char)(data[i] + (tolower(data[i]) < 'n' ? 13 : -13)) : (char)data[i];
    *(uint64_t *)instance += method == 0;
    worker->reply(request, 0, method == 0 ? (void *)out : instance, method == 0 ? len : sizeof(uint64_t));
    free(out);
}

static const struct berth_method methods[] = {{"rot13", 0}, {"count", 0}};
static const struct berth_module module = {.abi = BERTH_MODULE_ABI, .size = sizeof module, .name = "rot13",
    .version = "1.0", .methods = methods, .method_count = 2, .create = create, .destroy = free, .handle = handle};

const struct berth_module *berth_module(const struct berth_worker *given) { worker = given; return &module; }
