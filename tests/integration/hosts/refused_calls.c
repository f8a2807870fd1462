/* A sandbox that refuses a system call, with EPERM or as if the kernel were too old: in the host and all that it
 * starts, or in the supervisor and its workers alone. What can go on goes on; what cannot is a clean error; and no
 * descriptor of the host's gets into a supervisor or a worker. This program is the supervisor's wrapper, too. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "host_case.h"

#define MARKED_FD 100

struct refusal {
    const char *name;
    int number;
    int connect, open;              /* what they return when it is refused everywhere */
    int daemon_connect, daemon_open; /* the same when it is refused to the supervisor and its workers alone */
};

static struct refusal refusals[] = {
    {"close_range", SYS_close_range, BERTH_RET_OK, BERTH_RET_OK, BERTH_RET_OK, BERTH_RET_OK},
    {"pidfd_open", SYS_pidfd_open, BERTH_RET_UNAVAILABLE, 0, BERTH_RET_UNAVAILABLE, 0}, /* see newer_kernel() */
    {"memfd_create", SYS_memfd_create, BERTH_RET_OK, BERTH_RET_EXHAUSTED, BERTH_RET_OK, BERTH_RET_ERR},
    {"timerfd_create", SYS_timerfd_create, BERTH_RET_EXHAUSTED, 0, BERTH_RET_OK, BERTH_RET_OK},
    {"eventfd2", SYS_eventfd2, BERTH_RET_UNAVAILABLE, 0, BERTH_RET_UNAVAILABLE, 0},
    {"sched_setaffinity", SYS_sched_setaffinity, BERTH_RET_OK, BERTH_RET_OK, BERTH_RET_OK, BERTH_RET_OK},
    {"prctl", SYS_prctl, BERTH_RET_OK, BERTH_RET_OK, BERTH_RET_OK, BERTH_RET_OK},
};

/* From 6.5 on the kernel has the peer's pidfd (SO_PEERPIDFD), and the supervisor need not open one. */
static void newer_kernel(void) {
    int pair[2], fd = -1;
    socklen_t size = sizeof fd;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return;
    if (getsockopt(pair[0], SOL_SOCKET, 77, &fd, &size) == 0) {
        close(fd);
        for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
            if (refusals[i].number == SYS_pidfd_open)
                refusals[i].connect = refusals[i].daemon_connect = BERTH_RET_OK;
    }
    close(pair[0]);
    close(pair[1]);
}

static int refuse(int number, int error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* How many descriptors a process has; with `path`, on that file. */
static int count_fds(pid_t pid, const char *path) {
    char folder[64], link[512], target[512];
    int count = 0;
    snprintf(folder, sizeof folder, "/proc/%d/fd", pid);
    DIR *fds = opendir(folder);
    for (struct dirent *entry; fds && (entry = readdir(fds));) {
        snprintf(link, sizeof link, "%s/%s", folder, entry->d_name);
        ssize_t len = readlink(link, target, sizeof target - 1);
        target[len > 0 ? len : 0] = 0;
        count += len > 0 && (!path || strcmp(target, path) == 0);
    }
    if (fds)
        closedir(fds);
    return count;
}

static void check_contexts(berth_client client, const char *marked) {
    berth_context context = open_echo(client);
    check_equal("call", call_echo(context), BERTH_RET_OK);
    check_equal("descriptors of the host's in the supervisor", count_fds(supervisor_of(client), marked), 0);
    check_equal("descriptors of the host's in the worker", count_fds(worker_of(client), marked), 0);
}

static void check_refused_opens(berth_client client, int expected) {
    berth_context none;
    int fds = count_fds(getpid(), NULL);
    for (int i = 0; i < 3; i++)
        check_equal("open", berth_open(client, "echo", NULL, 0, NULL, &none, NULL), expected);
    for (int i = 0; i < 6000 && count_fds(getpid(), NULL) != fds; i++)
        usleep(10000); /* the control thread's to free */
    check_equal("descriptors that refused opens left in the host", count_fds(getpid(), NULL), fds);
}

static int session(int connect, int open) {
    char marked[] = "/tmp/berth-refused-XXXXXX";
    berth_client client;
    int file = mkstemp(marked); /* not close-on-exec, and out of the way of what a program is started with */
    file = dup2(file, MARKED_FD);
    int fds = count_fds(getpid(), NULL);
    check_equal("connect", try_connect_private(&client), connect);
    if (connect == BERTH_RET_OK) {
        if (open == BERTH_RET_OK)
            check_contexts(client, marked);
        else
            check_refused_opens(client, open);
        check_equal("disconnect", berth_disconnect(client), BERTH_RET_OK);
    }
    check_equal("descriptors left in the host", count_fds(getpid(), NULL), fds);
    close(file);
    unlink(marked);
    return case_failures;
}

static int in_a_child(const struct refusal *refusal, int error, int everywhere, const char *wrapper) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        char number[32];
        case_failures = 0;
        if (everywhere && refuse(refusal->number, error) != 0)
            _exit(CASE_SKIPPED);
        if (!everywhere) {
            snprintf(number, sizeof number, "%d %d", refusal->number, error);
            setenv("REFUSED_CALL", number, 1);
            setenv("REFUSED_DAEMON", getenv("BERTH_DAEMON"), 1);
            setenv("BERTH_DAEMON", wrapper, 1);
        }
        _exit(session(everywhere ? refusal->connect : refusal->daemon_connect,
                      everywhere ? refusal->open : refusal->daemon_open)
                  ? EXIT_FAILURE
                  : EXIT_SUCCESS);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int be_the_daemon(char **argv) {
    int number, error;
    if (sscanf(getenv("REFUSED_CALL"), "%d %d", &number, &error) != 2 || refuse(number, error) != 0)
        return 2;
    execv(getenv("REFUSED_DAEMON"), argv);
    return 2;
}

int main(int argc, char **argv) {
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (argc > 1)
        return be_the_daemon(argv);
    self[len > 0 ? len : 0] = 0;
    newer_kernel();
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        for (int how = 0; how < 4; how++) {
            int error = how & 1 ? EPERM : ENOSYS, everywhere = how & 2;
            int status = in_a_child(&refusals[i], error, everywhere, self);
            if (status == CASE_SKIPPED)
                return CASE_SKIPPED;
            if (status)
                dprintf(case_out, "^ %s is refused%s: %s\n", refusals[i].name, everywhere ? "" : " to the supervisor",
                        strerror(error));
            check_equal(refusals[i].name, status, EXIT_SUCCESS);
        }
    return case_result();
}
