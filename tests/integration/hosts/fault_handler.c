/* A host whose callbacks fault, with a handler of its own for that (a crash reporter, a language runtime): the handler
 * runs, as it does on the host's own threads. */
#include <signal.h>
#include <sys/wait.h>

#include "host_case.h"

#define HANDLED 42

static void on_fault(int signal) {
    (void)signal;
    _exit(HANDLED);
}

/* The fault is meant, and no business of a sanitizer's. */
__attribute__((no_sanitize("undefined", "address"))) static void fault(int ret, const uint8_t *data, size_t len, void *user_data) {
    static const int *volatile nowhere;
    (void)ret, (void)data, (void)len, (void)user_data;
    _exit(*nowhere);
}

static void at_answer(berth_client client, berth_context context) {
    (void)client;
    berth_submit(context, berth_method_id("echo", 4), "x", 1, fault, NULL, NULL);
}
static void at_event(berth_client client, berth_context context) {
    static const char emit[] = "\xa2\x65" "count\x01\x65" "bytes\x01";
    (void)client;
    berth_listen(context, "tick", fault, NULL, NULL);
    call_method(context, "emit", emit, sizeof emit - 1, 60000);
}
static void at_close(berth_client client, berth_context context) {
    (void)client;
    berth_close(context, fault, NULL);
}
static void at_open(berth_client client, berth_context context) {
    berth_open_submit(client, "echo", NULL, 0, NULL, fault, NULL, &context);
}
/* On a thread that has served another context before. */
static void at_second(berth_client client, berth_context context) {
    struct berth_completion completion;
    berth_submit(context, berth_method_id("echo", 4), "x", 1, NULL, NULL, NULL);
    berth_reap(context, &completion, 1, 60000);
    berth_close(context, NULL, NULL);
    at_answer(client, open_echo(client));
}

static int status_of(void (*body)(berth_client, berth_context)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 2; i++)
            signal(i ? SIGBUS : SIGSEGV, on_fault);
        berth_client client = connect_private();
        body(client, open_echo(client));
        sleep(60);
        _exit(1);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int main(void) {
    check_equal("a fault in an answer's callback", status_of(at_answer), HANDLED);
    check_equal("a fault in an event's callback", status_of(at_event), HANDLED);
    check_equal("a fault in a close's callback", status_of(at_close), HANDLED);
    check_equal("a fault in an open's callback", status_of(at_open), HANDLED);
    check_equal("a fault on a thread used before", status_of(at_second), HANDLED);
    return case_result();
}
