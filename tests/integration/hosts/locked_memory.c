/* A host that has all its memory locked, and all to come: an idle context costs it a few pages and not its whole
 * segment; where RLIMIT_MEMLOCK does not allow one, an open is refused and nothing else happens. */
#include <linux/capability.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "host_case.h"

#define CONTEXTS 4
#define CONTEXT_MOST_KB 4096
#define SOME_MEMORY ((rlim_t)96 << 20) /* less than one segment */

static long status_kb(const char *key) {
    char line[256];
    long kb = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = atol(line + strlen(key));
    fclose(file);
    return kb;
}

static void unlimited(void) {
    static const char die[] = "\xa1\x63how\x64segv";
    const struct berth_open_options options = {.size = sizeof options, .flags = BERTH_RESTART};
    berth_client client = connect_private();
    berth_context contexts[CONTEXTS];
    long before = status_kb("RssShmem:");
    for (int i = 0; i < CONTEXTS; i++)
        need("open", berth_open(client, "echo", NULL, 0, &options, &contexts[i], NULL));
    check_so("idle contexts have few pages", status_kb("RssShmem:") - before < CONTEXTS * CONTEXT_MOST_KB);
    for (int i = 0; i < CONTEXTS; i++)
        check_equal("call", call_echo(contexts[i]), BERTH_RET_OK);
    check_equal("die", call_method(contexts[0], "die", die, sizeof die - 1, 60000), BERTH_RET_WORKER_DIED);
    for (int i = 0; i < 6000 && call_echo(contexts[0]) != BERTH_RET_OK; i++)
        usleep(10000);
    check_equal("call after a restart", call_echo(contexts[0]), BERTH_RET_OK);
    check_so("nor has one that was restarted", status_kb("RssShmem:") - before < CONTEXTS * CONTEXT_MOST_KB);
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
}

/* Root's limit is none. */
static int drop_lock_capability(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0)
        return -1;
    data[0].effective &= ~(1u << CAP_IPC_LOCK);
    data[0].permitted &= ~(1u << CAP_IPC_LOCK);
    return (int)syscall(SYS_capset, &header, data);
}

static void limited(void) {
    struct rlimit limit;
    pthread_attr_t small;
    berth_context context = {0};
    struct berth_reply why;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_max > SOME_MEMORY)
        limit.rlim_max = SOME_MEMORY;
    limit.rlim_cur = limit.rlim_max;
    need("limit", setrlimit(RLIMIT_MEMLOCK, &limit));
    pthread_attr_init(&small); /* the limit is for stacks, too */
    pthread_attr_setstacksize(&small, 256 << 10);
    need("stacks", pthread_setattr_default_np(&small));
    need("capabilities", drop_lock_capability());
    need("mlockall", mlockall(MCL_FUTURE));
    berth_client client = connect_private();
    for (int i = 0; i < 3; i++) {
        check_equal("open", berth_open(client, "echo", NULL, 0, NULL, &context, &why), BERTH_RET_EXHAUSTED);
        check_so("its text", why.len > 0);
        berth_reply_free(&why);
    }
    check_equal("status", berth_status(client, &why), BERTH_RET_OK);
    berth_reply_free(&why);
    munlockall();
    check_equal("a call to a context opened after all", call_echo(open_echo(client)), BERTH_RET_OK);
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
}

static int in_a_child(void (*body)(void)) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(case_result());
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int may_lock_all(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    return geteuid() == 0 || limit.rlim_cur == RLIM_INFINITY;
}

static void all_locked(void) {
    need("mlockall", mlockall(MCL_CURRENT | MCL_FUTURE));
    unlimited();
}

int main(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return CASE_SKIPPED; /* its shadow is not to be locked */
#endif
    if (may_lock_all())
        check_equal("with all memory locked", in_a_child(all_locked), EXIT_SUCCESS);
    check_equal("with little that may be locked", in_a_child(limited), EXIT_SUCCESS);
    return case_result();
}
