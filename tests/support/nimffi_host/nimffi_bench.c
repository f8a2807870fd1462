/* What the boundary costs a host of a nim-ffi library, in one run: the same calls to the fixture in this process and
 * through its stub, by a caller that sleeps until the callback, back to back and after a pause, and by one that spins;
 * beside them the least that crossing costs, `berth_call` and `berth_open` with `berth_close`.
 *
 * A caller that spins keeps a core to itself. In this process the fixture's thread has the other; through the stub its
 * thread, the worker's and the stub's share it, so on two cores that row is the price of their taking turns.
 *
 * usage: nimffi-bench FIXTURE.so STUB.so [SECONDS for each figure, default 0.5] */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "berth/berth.h"
#include "nimffi.h"

#define SAMPLES_MOST 400000
#define PAUSE_US 2000

struct library {
    void *(*create)(const uint8_t *req, size_t len, FFICallback cb, void *ud);
    int (*destroy)(void *ctx, FFICallback cb, void *ud);
    int (*bytes)(void *ctx, FFICallback cb, void *ud, const uint8_t *req, size_t len);
};

/* A caller's place to wait, spinning or asleep. */
struct wait {
    bool spins;
    uint32_t done;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int code;
};

static double seconds = 0.5;
static uint64_t samples[SAMPLES_MOST];
static uint64_t began_ns; /* of the sample that is taken; what is measured may begin later */

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "nimffi-bench: %s\n", what);
    exit(1);
}

static void on_answer(int code, const char *data, size_t len, void *user_data) {
    struct wait *wait = user_data;
    (void)data, (void)len;
    if (code == RET_STALE_WARN)
        return;
    wait->code = code;
    if (wait->spins) {
        __atomic_store_n(&wait->done, 1, __ATOMIC_RELEASE);
        return;
    }
    pthread_mutex_lock(&wait->lock);
    wait->done = 1;
    pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&wait->lock);
}

static void wait_for(struct wait *wait) {
    if (wait->spins) {
        while (!__atomic_load_n(&wait->done, __ATOMIC_ACQUIRE))
            __asm__ __volatile__("" ::: "memory");
    } else {
        pthread_mutex_lock(&wait->lock);
        while (!wait->done)
            pthread_cond_wait(&wait->changed, &wait->lock);
        pthread_mutex_unlock(&wait->lock);
    }
    wait->done = 0;
    if (wait->code != RET_OK)
        die("a call failed");
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct figure {
    double p50, p99;
};

static struct figure figure_of(size_t count) {
    qsort(samples, count, sizeof *samples, by_value);
    return (struct figure){(double)samples[count / 2] / 1000, (double)samples[count * 99 / 100] / 1000};
}

/* Runs `once` for a while after a start that is not counted. */
static struct figure measure(void (*once)(void *), void *argument) {
    size_t count = 0;
    for (int i = 0; i < 20; i++)
        once(argument);
    uint64_t until = now_ns() + (uint64_t)(seconds * 1e9);
    while ((began_ns = now_ns()) < until && count < SAMPLES_MOST) {
        once(argument);
        samples[count++] = now_ns() - began_ns;
    }
    return figure_of(count);
}

/* --- what is measured -------------------------------------------------------------------------------------------- */

struct caller {
    struct library library;
    struct wait wait;
    void *ctx;
};

static void call_once(void *argument) {
    static const uint8_t request[] = "\xa1\x64size\x18\x40"; /* {"size": 64} */
    struct caller *caller = argument;
    if (caller->library.bytes(caller->ctx, on_answer, &caller->wait, request, sizeof request - 1) != 0)
        die("a call was refused");
    wait_for(&caller->wait);
}

static void open_caller(struct caller *caller) {
    static const uint8_t config[] = "\xa1\x66" "config" "\xa1\x64name\x64" "demo";
    caller->ctx = caller->library.create(config, sizeof config - 1, on_answer, &caller->wait);
    wait_for(&caller->wait);
}

static void close_caller(struct caller *caller) {
    caller->library.destroy(caller->ctx, on_answer, &caller->wait);
    wait_for(&caller->wait);
}

static void open_and_close(void *argument) {
    open_caller(argument);
    close_caller(argument);
}

struct direct {
    berth_context context;
    uint32_t method;
};

static void pause_first(void) {
    usleep(PAUSE_US);
    began_ns = now_ns();
}

static void call_after_pause(void *argument) {
    pause_first();
    call_once(argument);
}

static void berth_once(void *argument) {
    struct direct *direct = argument;
    struct berth_reply reply;
    static const char data[64];
    if (berth_call(direct->context, direct->method, data, sizeof data, 60000, &reply) != BERTH_RET_OK)
        die("berth_call failed");
    berth_reply_free(&reply);
}

static void berth_after_pause(void *argument) {
    pause_first();
    berth_once(argument);
}

static void berth_open_and_close(void *argument) {
    berth_client *client = argument;
    berth_context context;
    if (berth_open(*client, "echo", NULL, 0, NULL, &context, NULL) || berth_close(context, NULL, NULL))
        die("berth_open or berth_close failed");
}

struct row {
    struct figure spinning, back_to_back, after_pause, open_close;
};

static struct row measure_berth(void) {
    struct direct direct;
    berth_client client;
    struct row row = {0};
    if (berth_connect(NULL, &client) || berth_open(client, "echo", NULL, 0, NULL, &direct.context, NULL) ||
        berth_method(direct.context, "echo", &direct.method))
        die("no echo module");
    row.back_to_back = measure(berth_once, &direct);
    row.after_pause = measure(berth_after_pause, &direct);
    row.open_close = measure(berth_open_and_close, &client);
    berth_disconnect(client);
    return row;
}

static struct library load(const char *path) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        die(dlerror());
    struct library library;
    *(void **)&library.create = dlsym(handle, "my_timer_create");
    *(void **)&library.destroy = dlsym(handle, "my_timer_destroy");
    *(void **)&library.bytes = dlsym(handle, "my_timer_bytes");
    if (!library.create || !library.destroy || !library.bytes)
        die("no my_timer library");
    return library;
}

static struct row measure_library(struct library library) {
    struct caller caller = {.library = library,
                            .wait = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};
    struct row row;
    open_caller(&caller);
    row.back_to_back = measure(call_once, &caller);
    row.after_pause = measure(call_after_pause, &caller);
    caller.wait.spins = true;
    row.spinning = measure(call_once, &caller);
    caller.wait.spins = false;
    close_caller(&caller);
    row.open_close = measure(open_and_close, &caller);
    return row;
}

static void print(const char *what, struct figure in_process, struct figure stub, struct figure crossing) {
    double bound = 1.15 * in_process.p50 + crossing.p50;
    printf("%-16s %9.2f %10.2f %9.2f %10.2f %9.2f %9.2f %7.2f\n", what, in_process.p50, in_process.p99, stub.p50,
           stub.p99, crossing.p50, bound, stub.p50 / bound);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: nimffi-bench FIXTURE.so STUB.so [SECONDS]\n");
        return 2;
    }
    if (argc > 3)
        seconds = atof(argv[3]);
    struct row berth = measure_berth();
    struct row in_process = measure_library(load(argv[1])), stub = measure_library(load(argv[2]));
    printf("microseconds; 64 bytes of reply; bound: 1.15 x in process + berth's own\n");
    printf("%-16s %9s %10s %9s %10s %9s %9s %7s\n", "", "in process", "p99", "stub", "p99", "berth", "bound", "ratio");
    print("back to back", in_process.back_to_back, stub.back_to_back, berth.back_to_back);
    print("after a pause", in_process.after_pause, stub.after_pause, berth.after_pause);
    print("caller spins", in_process.spinning, stub.spinning, berth.back_to_back);
    print("open + close", in_process.open_close, stub.open_close, berth.open_close);
    return 0;
}
