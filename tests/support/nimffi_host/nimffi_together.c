/* Several libraries in one host, loaded by path: each has its own contexts, and none sees the other's.
 *
 * usage: nimffi-together TIMER.so OTHER_TIMER.so NODE.so */
#include <dlfcn.h>
#include <stdio.h>

#include "record.h"

struct timer {
    void *handle, *ctx;
    int (*version)(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
};

static void *symbol(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    if (!found)
        fail_host("%s", dlerror());
    return found;
}

static void *load(const char *path) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        fail_host("%s", dlerror());
    return handle;
}

static struct timer open_timer(const char *path) {
    struct timer timer = {.handle = load(path)};
    struct record record = RECORD("create");
    void *(*create)(const uint8_t *, size_t, FFICallback, void *);
    *(void **)&create = symbol(timer.handle, "my_timer_create");
    *(void **)&timer.version = symbol(timer.handle, "my_timer_version");
    begin(&record);
    timer.ctx = create((const uint8_t *)"\xa0", 1, on_told, &record);
    wait_terminal(&record, 1);
    if (record.told[0].code != RET_OK)
        fail_host("%s: %.*s", path, (int)record.told[0].len, record.told[0].data);
    return timer;
}

static void ask_version(const char *name, const struct timer *timer, void *ctx) {
    struct record record = RECORD(name);
    begin(&record);
    returned(&record, timer->version(ctx, on_told, &record, (const uint8_t *)"\xa0", 1));
    wait_terminal(&record, 1);
    print_record(&record);
}

static void ask_node(const char *path) {
    void *handle = load(path);
    void *(*create)(const char *, FFICallback, void *);
    int (*version)(void *, FFICallback, void *), (*destroy)(void *, FFICallback, void *);
    struct record made = RECORD("node"), record = RECORD("node's version"), gone = RECORD("destroy the node");
    *(void **)&create = symbol(handle, "my_node_new");
    *(void **)&version = symbol(handle, "my_node_version");
    *(void **)&destroy = symbol(handle, "my_node_destroy");
    begin(&made);
    void *ctx = create("{}", on_told, &made);
    returned(&made, ctx != NULL);
    wait_terminal(&made, 1);
    print_record(&made);
    returned(&record, version(ctx, on_told, &record));
    wait_terminal(&record, 1);
    print_record(&record);
    returned(&gone, destroy(ctx, on_told, &gone));
    wait_terminal(&gone, 1);
    print_record(&gone);
    dlclose(handle);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: nimffi-together TIMER.so OTHER_TIMER.so NODE.so\n");
        return 2;
    }
    remember_mask();
    struct timer first = open_timer(argv[1]), second = open_timer(argv[2]);
    ask_version("the first timer", &first, first.ctx);
    ask_version("the second timer", &second, second.ctx);
    ask_version("the first, with a context of the second", &first, second.ctx);
    ask_version("the second, with a context of the first", &second, first.ctx);
    ask_node(argv[3]);
    int (*destroy)(void *, FFICallback, void *), (*destroy_blocking)(void *);
    struct record record = RECORD("destroy the first");
    *(void **)&destroy = symbol(first.handle, "my_timer_destroy");
    *(void **)&destroy_blocking = symbol(second.handle, "my_timer_destroy");
    dlclose(first.handle); /* with threads alive */
    returned(&record, destroy(first.ctx, on_told, &record));
    wait_terminal(&record, 1);
    print_record(&record);
    say("destroy the second: %d", destroy_blocking(second.ctx));
    dlclose(second.handle);
    return 0;
}
