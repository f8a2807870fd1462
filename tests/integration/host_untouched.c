/* A host in plain C that writes down what is its own (signals, descriptors, children, timers, files, limits) before
 * it connects, and finds it unchanged during calls, after a worker crash and after the disconnect. While connected
 * there may be more descriptors (5 for a connection with a private supervisor, 3 for a context) and more threads. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "berth/berth.h"
#include "control.h"

#define MARK 4711
#define MOST_FDS 256

static int checks, failures;
static volatile sig_atomic_t children_told, pipes_told;

static void check(int so, const char *when, const char *what, long got, long expected) {
    checks++;
    if (so)
        return;
    failures++;
    fprintf(stderr, "%s: %s: %ld and not %ld\n", when, what, got, expected);
}
static void equal(const char *when, const char *what, long got, long expected) {
    check(got == expected, when, what, got, expected);
}

static void on_child(int signal) {
    (void)signal;
    children_told++;
}
static void on_pipe(int signal) {
    (void)signal;
    pipes_told++;
}
static void on_anything(int signal) { (void)signal; }

struct state {
    struct sigaction actions[65];
    sigset_t mask;
    stack_t altstack;
    char fds[MOST_FDS][128]; /* what each is open on; empty: closed */
    struct itimerval timers[3];
    char folder[4096];
    mode_t umask;
    struct rlimit limits[RLIM_NLIMITS];
    char **environment;
    char environment_text[65536];
    off_t written;
};

static void read_fds(struct state *state) {
    char path[64];
    for (int fd = 0; fd < MOST_FDS; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, state->fds[fd], sizeof state->fds[fd] - 1);
        state->fds[fd][len > 0 ? len : 0] = 0;
    }
}

extern char **environ;

static void read_environment(struct state *state) {
    size_t at = 0;
    state->environment = environ;
    state->environment_text[0] = 0;
    for (char **entry = environ; *entry && at < sizeof state->environment_text; entry++)
        at += (size_t)snprintf(state->environment_text + at, sizeof state->environment_text - at, "%s\n", *entry);
}

static void read_state(struct state *state) {
    memset(state, 0, sizeof *state);
    for (int signal = 1; signal <= 64; signal++)
        sigaction(signal, NULL, &state->actions[signal]);
    pthread_sigmask(SIG_SETMASK, NULL, &state->mask);
    sigaltstack(NULL, &state->altstack);
    read_fds(state);
    for (int i = 0; i < 3; i++)
        getitimer((__itimer_which_t)i, &state->timers[i]);
    if (!getcwd(state->folder, sizeof state->folder))
        state->folder[0] = 0;
    state->umask = umask(0);
    umask(state->umask);
    for (int i = 0; i < RLIM_NLIMITS; i++)
        getrlimit((__rlimit_resource_t)i, &state->limits[i]);
    read_environment(state);
    struct stat file;
    state->written = fstat(1, &file) == 0 ? file.st_size : -1;
}

static int same_action(const struct sigaction *a, const struct sigaction *b) {
    int same_mask = 1;
    for (int signal = 1; signal <= 64; signal++)
        same_mask = same_mask && sigismember(&a->sa_mask, signal) == sigismember(&b->sa_mask, signal);
    return a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags && same_mask;
}

static void compare_signals(const char *when, const struct state *before, const struct state *now) {
    for (int signal = 1; signal <= 64; signal++) {
        check(same_action(&before->actions[signal], &now->actions[signal]), when, "the disposition of signal", signal,
              0);
        equal(when, "the mask", sigismember(&now->mask, signal), sigismember(&before->mask, signal));
    }
    equal(when, "the altstack", (long)now->altstack.ss_sp, (long)before->altstack.ss_sp);
    equal(when, "the altstack's size", (long)now->altstack.ss_size, (long)before->altstack.ss_size);
    equal(when, "the altstack's flags", now->altstack.ss_flags, before->altstack.ss_flags);
    equal(when, "SIGCHLD came", children_told, 0);
    equal(when, "SIGPIPE came", pipes_told, 0);
}

static void compare_fds(const char *when, const struct state *before, const struct state *now, int most_more) {
    int more = 0;
    for (int fd = 0; fd < MOST_FDS; fd++) {
        if (before->fds[fd][0])
            check(strcmp(before->fds[fd], now->fds[fd]) == 0, when, "what a descriptor is open on", fd, fd);
        else
            more += now->fds[fd][0] != 0;
    }
    check(more <= most_more, when, "more descriptors", more, most_more);
}

static int children_listed(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char path[512];
        snprintf(path, sizeof path, "/proc/self/task/%s/children", task->d_name);
        FILE *file = fopen(path, "r");
        for (int pid; file && fscanf(file, "%d", &pid) == 1;)
            count++;
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return count;
}

static void compare_children(const char *when) {
    int status;
    errno = 0;
    pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
    check(pid == -1 && errno == ECHILD, when, "a child to wait for", pid, -1);
    equal(when, "children listed", children_listed(), 0);
}

static void compare_rest(const char *when, const struct state *before, const struct state *now) {
    check(memcmp(before->timers, now->timers, sizeof now->timers) == 0, when, "interval timers", 1, 0);
    check(strcmp(before->folder, now->folder) == 0, when, "the working folder", 1, 0);
    equal(when, "the umask", now->umask, before->umask);
    check(memcmp(before->limits, now->limits, sizeof now->limits) == 0, when, "resource limits", 1, 0);
    equal(when, "environ", (long)now->environment, (long)before->environment);
    check(strcmp(before->environment_text, now->environment_text) == 0, when, "the environment", 1, 0);
    equal(when, "bytes on stdout", now->written, before->written);
}

static void compare(const char *when, const struct state *before, int most_more_fds) {
    static struct state now;
    equal(when, "errno", errno, MARK);
    read_state(&now);
    compare_signals(when, before, &now);
    compare_fds(when, before, &now, most_more_fds);
    compare_children(when);
    compare_rest(when, before, &now);
    errno = MARK;
}

/* Something of every kind for the library to disturb. */
static void make_own_things(void) {
    static char altstack[65536];
    struct sigaction action = {.sa_handler = on_anything, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigaddset(&action.sa_mask, SIGUSR2);
    for (int signal = 1; signal <= 64; signal += 3)
        sigaction(signal, &action, NULL);
    action.sa_handler = on_child;
    sigaction(SIGCHLD, &action, NULL);
    action.sa_handler = on_pipe;
    sigaction(SIGPIPE, &action, NULL);
    signal(SIGHUP, SIG_IGN);
    stack_t stack = {.ss_sp = altstack, .ss_size = sizeof altstack};
    sigaltstack(&stack, NULL);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGRTMIN + 3);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    umask(027);
}

static void on_answer(int ret, const uint8_t *data, size_t len, void *user_data) {
    (void)data;
    (void)len;
    if (ret != BERTH_RET_STALE_WARN)
        __atomic_store_n((int *)user_data, ret + 1, __ATOMIC_SEQ_CST);
}

static int wait_answer(int *answer) {
    for (int i = 0; i < 60000 && !__atomic_load_n(answer, __ATOMIC_SEQ_CST); i++) {
        usleep(1000);
    }
    return __atomic_load_n(answer, __ATOMIC_SEQ_CST) - 1;
}

static int call(berth_context context, const char *method, const char *data, size_t len) {
    struct berth_reply reply;
    int ret = berth_call(context, berth_method_id(method, strlen(method)), data, len, 60000, &reply);
    berth_reply_free(&reply);
    return ret;
}

static berth_context open_echo(const char *when, berth_client client) {
    berth_context context;
    struct berth_reply why;
    equal(when, "open", berth_open(client, "echo", NULL, 0, NULL, &context, &why), BERTH_RET_OK);
    berth_reply_free(&why);
    return context;
}

static void session(const struct state *before) {
    static const char emit[] = "\xa2\x65" "count\x18\x64\x65" "bytes\x08", die[] = "\xa1\x63how\x65" "abort";
    const struct berth_options options = {.size = sizeof options, .flags = BERTH_PRIVATE};
    berth_client client;
    int answer = 0, event = 0;
    uint64_t listener, id;
    struct berth_completion completion;
    equal("connect", "connect", berth_connect(&options, &client), BERTH_RET_OK);
    compare("after connect", before, 5);
    berth_context context = open_echo("open", client);
    compare("after open", before, 8);
    equal("call", "echo", call(context, "echo", "x", 1), BERTH_RET_OK);
    compare("after a call", before, 8);
    equal("submit", "submit", berth_submit(context, berth_method_id("echo", 4), "x", 1, on_answer, &answer, &id), 0);
    equal("submit", "its answer", wait_answer(&answer), BERTH_RET_OK);
    equal("listen", "listen", berth_listen(context, "tick", on_answer, &event, &listener), 0);
    equal("emit", "emit", call(context, "emit", emit, sizeof emit - 1), BERTH_RET_OK);
    equal("emit", "an event", wait_answer(&event), BERTH_RET_OK);
    equal("reap", "submit", berth_submit(context, berth_method_id("echo", 4), "x", 1, NULL, NULL, &id), 0);
    check(berth_poll_fd(context) >= 0, "reap", "poll fd", 0, 0);
    equal("reap", "reap", berth_reap(context, &completion, 1, 60000), 1);
    compare("with callbacks, events and polling", before, 8);
    equal("crash", "die", call(context, "die", die, sizeof die - 1), BERTH_RET_WORKER_DIED);
    compare("after the worker's crash", before, 8);
    equal("crash", "close", berth_close(context, NULL, NULL), BERTH_RET_OK);
    context = open_echo("open again", client);
    equal("open again", "echo", call(context, "echo", "x", 1), BERTH_RET_OK);
    equal("disconnect", "disconnect", berth_disconnect(client), BERTH_RET_OK);
    compare("after disconnect", before, 0);
}

/* After the library's threads have had the time to go; they are not the host's to count while connected. */
static void check_threads_gone(void) {
#if defined(__SANITIZE_THREAD__)
    return; /* it has one of its own */
#endif
    int count = 0;
    for (int i = 0; i < 500; i++) {
        DIR *tasks = opendir("/proc/self/task");
        count = -2;
        while (tasks && readdir(tasks))
            count++;
        closedir(tasks);
        if (count == 1)
            break;
        usleep(10000);
    }
    equal("after disconnect", "threads", count, 1);
}

int main(void) {
    static struct state before;
    int out = dup(1);
    char name[] = "/tmp/berth-untouched-XXXXXX";
    int file = mkstemp(name);
    unlink(name);
    dup2(file, 1);
    make_own_things();
    errno = MARK;
    read_state(&before);
    errno = MARK;
    session(&before);
    session(&before);
    check_threads_gone();
    dup2(out, 1);
    printf("%d checks passed, %d failed\n", checks - failures, failures);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
