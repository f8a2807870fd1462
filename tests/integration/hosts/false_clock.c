/* A host under a false clock (libfaketime, in tests of hosts' own), hours off in either direction, and its
 * supervisor and workers with it: calls are answered, and deadlines hold in true time. Runs itself with the clock
 * preloaded. */
#include <sys/wait.h>

#include "host_case.h"

static void on_answer(int ret, const uint8_t *data, size_t len, void *user_data) {
    (void)data, (void)len;
    if (ret != BERTH_RET_STALE_WARN)
        __atomic_store_n((int *)user_data, ret + 1, __ATOMIC_SEQ_CST);
}

static int session(long seconds) {
    int answer = 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    check_so("the clock is false", labs((long)now.tv_sec - (long)(now_ms() / 1000) - seconds) < 60);
    berth_client client = connect_private();
    berth_context context = open_echo(client);
    check_equal("call", call_echo(context), BERTH_RET_OK);
    check_deadlines(context);
    need("submit", berth_submit(context, berth_method_id("echo", 4), "x", 1, on_answer, &answer, NULL));
    for (int i = 0; i < 6000 && !__atomic_load_n(&answer, __ATOMIC_SEQ_CST); i++)
        usleep(10000);
    check_equal("its answer", answer - 1, BERTH_RET_OK);
    check_equal("close", berth_close(context, NULL, NULL), BERTH_RET_OK);
    open_echo(client);
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
    return case_result();
}

static int run_with(const char *preload, const char *seconds, char **argv) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        setenv("LD_PRELOAD", preload, 1);
        setenv("FALSE_CLOCK", seconds, 1);
        execv("/proc/self/exe", argv);
        _exit(EXIT_FAILURE);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int main(int argc, char **argv) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return CASE_SKIPPED; /* it must be loaded first itself */
#endif
    const char *seconds = getenv("FALSE_CLOCK");
    if (seconds)
        return session(atol(seconds));
    if (argc < 2)
        return EXIT_FAILURE;
    check_equal("two hours late", run_with(argv[1], "-7200", argv), EXIT_SUCCESS);
    check_equal("two hours early", run_with(argv[1], "7200", argv), EXIT_SUCCESS);
    return case_result();
}
