/* A host that is given orphans (a subreaper, the first process of a container): it is told of no child of ours, and has
 * none left after the disconnect, whatever became of the supervisor. */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "host_case.h"

#define SKIP_CHILD 77

static volatile sig_atomic_t told;
static void on_child(int signal) {
    (void)signal;
    told++;
}

/* By any kind of wait. */
static void check_no_child(const char *when) {
    int status;
    errno = 0;
    check_equal(when, waitpid(-1, &status, WNOHANG | __WALL), -1);
    check_equal(when, errno, ECHILD);
    check_equal(when, told, 0);
}

/* What an ordinary reaper's loop sees while we are connected. */
static void check_no_ordinary_child(const char *when) {
    errno = 0;
    check_equal(when, waitpid(-1, NULL, WNOHANG), -1);
    check_equal(when, errno, ECHILD);
}

/* Without /proc, which may be another namespace's. A zombie is there still. */
static int vanishes(pid_t pid) {
    for (int i = 0; i < 6000 && kill(pid, 0) == 0; i++)
        usleep(10000);
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static void plain(void) {
    berth_client client = connect_private();
    berth_context context = open_echo(client);
    check_equal("call", call_echo(context), BERTH_RET_OK);
    check_no_ordinary_child("while connected");
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
    check_no_child("after the disconnect");
}

static void killed_supervisor(void) {
    berth_client client = connect_private();
    berth_context context = open_echo(client);
    pid_t supervisor = supervisor_of(client), worker = worker_of(client);
    check_so("there are a supervisor and a worker", supervisor > 1 && worker > 1);
    if (supervisor <= 1 || worker <= 1)
        return; /* kill(2) takes -1 for everybody */
    kill(supervisor, SIGKILL);
    check_so("the supervisor is gone, and nobody's zombie", vanishes(supervisor));
    check_equal("call without a supervisor", call_echo(context), BERTH_RET_OK);
    check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
    check_so("the worker is gone", vanishes(worker));
    check_equal("SIGCHLD came", told, 0);
}

static void no_daemon(void) {
    berth_client client;
    char *before = strdup(getenv("BERTH_DAEMON"));
    setenv("BERTH_DAEMON", "/nonexistent/berthd", 1);
    check_equal("connect without a daemon", try_connect_private(&client), BERTH_RET_UNAVAILABLE);
    check_no_child("after a start that failed");
    setenv("BERTH_DAEMON", "/bin/true", 1);
    check_equal("connect with a daemon that ends at once", try_connect_private(&client), BERTH_RET_UNAVAILABLE);
    check_no_child("after a daemon that ended at once");
    setenv("BERTH_DAEMON", before, 1);
    free(before);
}

static int run_all(void) {
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);
    for (int i = 0; i < 3; i++)
        plain();
    killed_supervisor();
    if (getenv("BERTH_DAEMON"))
        no_daemon();
    plain();
    return case_result();
}

/* LeakSanitizer, in a supervisor or a worker, looks for its own threads in /proc, which numbers processes otherwise. */
static void without_leak_check(void) {
    char options[4096];
    const char *given = getenv("ASAN_OPTIONS");
    snprintf(options, sizeof options, "%s:detect_leaks=0", given ? given : "");
    setenv("ASAN_OPTIONS", options, 1);
}

/* In a namespace of processes of its own; it needs root, or a kernel that lets users have these. */
static int as_first_process(void) {
    int status;
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        return SKIP_CHILD;
    without_leak_check();
    pid_t child = fork();
    if (child == 0)
        _exit(getpid() == 1 ? run_all() : EXIT_FAILURE);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int in_a_child(int (*body)(void)) {
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int as_subreaper(void) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return run_all();
}

int main(void) {
    check_equal("as a subreaper", in_a_child(as_subreaper), EXIT_SUCCESS);
    int first = in_a_child(as_first_process);
    if (first != SKIP_CHILD)
        check_equal("as the first process", first, EXIT_SUCCESS);
    else
        dprintf(case_out, "no namespace of processes to be had: not tried as the first process\n");
    return case_result();
}
