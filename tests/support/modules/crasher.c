/* A module that dies in the ways that echo does not: with a handler of its own, on a thread of its own, in a child, by
 * a jump to nowhere, or while it is loaded. */
#include "module.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct berth_worker *worker;

enum { OWN_HANDLER, PASSED_ON, ON_A_THREAD, ON_TWO_THREADS, IN_A_CHILD, NOWHERE, PLAIN, FINE };

static const struct berth_method methods[] = {{"own_handler", 0},    {"passed_on", 0},  {"on_a_thread", 0},
                                              {"on_two_threads", 0}, {"in_a_child", 0}, {"nowhere", 0},
                                              {"plain", 0},          {"fine", 0}};

static struct sigaction before;

/* A sanitizer would end the process before the signal does. */
__attribute__((no_sanitize("undefined"))) static void crash(void) {
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

static void end_here(int signal) {
    (void)signal;
    _exit(9);
}

static void pass_on(int signal, siginfo_t *info, void *context) { before.sa_sigaction(signal, info, context); }

static void *crash_on_thread(void *barrier) {
    if (barrier)
        pthread_barrier_wait(barrier);
    crash();
    return NULL;
}

static void on_threads(unsigned count) {
    pthread_t threads[2];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, count);
    for (unsigned i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, crash_on_thread, &barrier);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* Answers with the signal that the child died of. */
static void in_a_child(berth_request request) {
    pid_t child = fork();
    if (child == 0)
        crash();
    int status = 0;
    waitpid(child, &status, 0);
    char signal[16];
    int len = snprintf(signal, sizeof signal, "%d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    worker->reply(request, 0, signal, (size_t)len);
}

static void nowhere(void) {
    void (*volatile none)(void) = NULL;
    none();
}

static void handle(void *instance, uint32_t method, berth_request request, const uint8_t *data, size_t len) {
    (void)instance;
    struct sigaction own = {.sa_handler = end_here};
    struct sigaction passing = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO};
    switch (method) {
    case OWN_HANDLER: sigaction(SIGSEGV, &own, NULL); crash(); break;
    case PASSED_ON: sigaction(SIGSEGV, &passing, &before); crash(); break;
    case ON_A_THREAD: on_threads(1); break;
    case ON_TWO_THREADS: on_threads(2); break;
    case IN_A_CHILD: in_a_child(request); break;
    case NOWHERE: nowhere(); break;
    case PLAIN: crash(); break;
    default: worker->reply(request, 0, data, len);
    }
}

static const struct berth_module module = {.abi = BERTH_MODULE_ABI, .size = sizeof module, .name = "crasher",
    .version = "1", .method_count = sizeof methods / sizeof *methods, .methods = methods, .handle = handle};

__attribute__((visibility("default"))) const struct berth_module *berth_module(const struct berth_worker *given) {
    worker = given;
#ifdef AT_LOAD
    crash();
#endif
    return &module;
}
